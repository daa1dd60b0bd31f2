"""The run directory: every path of a run, atomic writes, which checkpoint is last and best.

    OUTPUT/<model>/v<N>-<timestamp>/
        config.yaml  data_report.json  rows.jsonl  events.jsonl  logging.jsonl  run.json
        images/  runs/
        checkpoint-N/            adapter or full weights, tokenizer, checkpoint.json
        checkpoint-N/state/      what an exact resume needs
        checkpoint-N-merged/     made by ``selfcog export``

This directory is the interface between the trainer and everything that watches or uses its result.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from selfcog.errors import ModelError

CHECKPOINT_NAME = re.compile(r"checkpoint-(\d+)$")
CHECKPOINT_INFO = "checkpoint.json"


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes the place of ``path`` when the block ends well,
    so that a reader, or a crash, sees the old content or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file as a whole, see `written_atomically`."""
    with written_atomically(path) as new, new.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def write_json_atomic(path: Path, data: Mapping[str, Any]) -> None:
    write_text_atomic(path, json.dumps(data, ensure_ascii=False, indent=2) + "\n")


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """What a checkpoint remembers so that ``infer`` and ``export`` need nothing but its path.

    ``base_model`` is what the user named: a path, a hub id, or "embedded".
    ``system`` is the system prompt the run was trained with; None = the template's own default.
    ``quant_bits``: the base was in so many bits while the adapter was trained.
    ``adapter_scale`` is by how much the adapter was shrunk or stretched after training.
    """

    base_model: str
    tuner_type: str
    step: int = 0
    base_revision: str | None = None
    system: str | None = None
    torch_dtype: str = "auto"
    quant_bits: int | None = None
    model_name: tuple[str, ...] = ()
    model_author: tuple[str, ...] = ()
    merged_from: str | None = None
    adapter_hash: str | None = None
    adapter_scale: float = 1.0
    selfcog_version: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    def write(self, checkpoint: Path) -> None:
        write_json_atomic(checkpoint / CHECKPOINT_INFO, asdict(self))

    @classmethod
    def read(cls, checkpoint: Path) -> CheckpointInfo | None:
        """The info of a checkpoint, or None where another tool made the folder."""
        path = checkpoint / CHECKPOINT_INFO
        if not path.is_file():
            return None
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ModelError(f"{path} is not JSON ({error}); the checkpoint is damaged") from None
        known = {item.name for item in fields(cls)}
        kept = {key: value for key, value in data.items() if key in known}
        for key in ("model_name", "model_author"):
            kept[key] = tuple(kept.get(key, ()))
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class RunDir:
    """All paths below one run's directory."""

    path: Path

    @classmethod
    def create(cls, output_dir: Path, model_label: str, *, add_version: bool = True) -> RunDir:
        """Make ``output_dir/model_label/v<N>-<timestamp>``, or use ``output_dir`` as it is.

        N is one more than the highest there is. Two runs that start in the same second cannot
        share a directory: ``mkdir`` refuses and the next N is taken.
        """
        if not add_version:
            output_dir.mkdir(parents=True, exist_ok=True)
            return cls(output_dir)
        parent = output_dir / model_label
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            used = [
                int(match.group(1))
                for entry in parent.iterdir()
                if (match := re.match(r"v(\d+)-", entry.name))
            ]
            version = max(used, default=-1) + 1
            path = parent / f"v{version}-{time.strftime('%Y%m%d-%H%M%S')}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return cls(path)

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def data_report_path(self) -> Path:
        return self.path / "data_report.json"

    @property
    def rows_path(self) -> Path:
        return self.path / "rows.jsonl"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def logging_path(self) -> Path:
        return self.path / "logging.jsonl"

    @property
    def images_dir(self) -> Path:
        return self.path / "images"

    @property
    def tensorboard_dir(self) -> Path:
        return self.path / "runs"

    @property
    def state_path(self) -> Path:
        return self.path / "run.json"

    def checkpoint(self, step: int) -> Path:
        return self.path / f"checkpoint-{step}"

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Complete checkpoints as (step, path), lowest step first."""
        found = []
        for entry in self.path.iterdir():
            match = CHECKPOINT_NAME.match(entry.name)
            if match and (entry / CHECKPOINT_INFO).is_file():
                found.append((int(match.group(1)), entry))
        return sorted(found)
