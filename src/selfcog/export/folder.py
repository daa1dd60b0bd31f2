"""The folder of a merged model: what lies in it beside the weights, and how it gets its name.

A merge is built in a hidden folder beside its final place and renamed when it is complete, so
that a folder called ``checkpoint-N-merged`` is never half a model.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfcog.errors import ExportError
from selfcog.runs import CHECKPOINT_INFO, CheckpointInfo

REPORT = "merge_report.json"
CONFIG = "config.json"
TEMPLATES = ("chat_template.jinja", "chat_template.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    *TEMPLATES,
)
MODEL_FILES = (
    CONFIG,
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
# Room for config, tokenizer and rounding when the free disk space is compared.
SPARE_BYTES = 64 << 20


def copy_side_files(base: Path, checkpoint: Path, target: Path) -> None:
    """Everything but weights: the base's, and on top the checkpoint's tokenizer and template."""
    names = [*MODEL_FILES, *TOKENIZER_FILES]
    names += [path.name for pattern in ("LICENSE*", "NOTICE*") for path in base.glob(pattern)]
    if read_json(base / CONFIG).get("auto_map"):
        names += [path.name for path in base.glob("*.py")]
    for name in names:
        if (base / name).is_file() and not (target / name).exists():
            shutil.copyfile(base / name, target / name)
    tokenizer_config = checkpoint / "tokenizer_config.json"
    if not tokenizer_config.is_file():
        return
    has_template = any((checkpoint / name).is_file() for name in TEMPLATES)
    if has_template or "chat_template" in read_json(tokenizer_config):
        for name in TEMPLATES:  # a file would win over the one inside tokenizer_config.json
            (target / name).unlink(missing_ok=True)
    for name in TOKENIZER_FILES:
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, target / name)


def change_config(target: Path, changes: Mapping[str, Any]) -> None:
    if changes:
        path = target / CONFIG
        config = read_json(path) | dict(changes)
        path.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def hash_files(folder: Path, names: tuple[str, ...]) -> str:
    """SHA-256 over the files of these names that are there; names count too."""
    digest = hashlib.sha256()
    for name in names:
        path = folder / name
        if path.is_file():
            digest.update(f"{name} {path.stat().st_size}\n".encode())
            with path.open("rb") as handle:
                while block := handle.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def list_files(folder: Path) -> dict[str, int]:
    """Name and size in bytes of every file of a finished merge but its report."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != REPORT)
    return {path.name: path.stat().st_size for path in files}


def is_complete(folder: Path, report: Mapping[str, Any]) -> bool:
    """Whether every file that the report lists is there with its size."""
    files: dict[str, int] = report.get("files", {})
    there = list_files(folder)
    return bool(files) and all(there.get(name) == size for name, size in files.items())


def check_output(output: Path, checkpoint: Path, base: Path, *, exist_ok: bool) -> bool:
    """Whether an earlier merge of this checkpoint lies at ``output``.

    Raises ExportError for a folder that something else made, unless ``exist_ok``, and always
    for a place that holds the checkpoint, the base or the working directory.
    """
    place = output.resolve()
    for precious in (checkpoint, base, Path.cwd()):
        if precious.resolve().is_relative_to(place):
            raise ExportError(f"{output} holds {precious}; choose another --output_dir")
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    info = CheckpointInfo.read(output) if output.is_dir() else None
    if info is not None and info.merged_from is not None:
        origin = Path(info.merged_from)
        beside = output.name == f"{checkpoint.name}-merged" and origin.name == checkpoint.name
        if beside or origin.resolve() == checkpoint.resolve():
            return True
    if exist_ok:
        return False
    found = f"a merge of {info.merged_from}" if info and info.merged_from else "other files"
    raise ExportError(
        f"{output} already holds {found if output.is_dir() else 'a file'}; "
        "give another --output_dir, or --exist_ok true to replace it"
    )


def check_space(parent: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(parent).free
    if free < num_bytes + SPARE_BYTES:
        raise ExportError(
            f"{parent} has {free / 1e9:.2f} GB free and the merged weights take "
            f"{num_bytes / 1e9:.2f} GB; free some space or give another --output_dir"
        )


@contextmanager
def build_beside(output: Path) -> Iterator[Path]:
    """A hidden folder to build in; at the end of the block it replaces ``output``.

    After an error it is removed and ``output`` is as it was.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(output)
    temporary = output.parent / f"{_prefix(output)}{os.getpid()}"
    temporary.mkdir()
    try:
        yield temporary
        if output.exists():
            old = temporary.with_name(f"{temporary.name}.old")
            output.rename(old)
            temporary.rename(output)
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        else:
            temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _prefix(output: Path) -> str:
    return f".{output.name}.{socket.gethostname()}."


def _remove_leftovers(output: Path) -> None:
    """Folders of merges on this machine that were killed: gigabytes that nobody would see."""
    for path in output.parent.glob(f"{_prefix(output)}*"):
        process = path.name.removeprefix(_prefix(output))
        if process.isdigit() and not _is_alive(int(process)):
            shutil.rmtree(path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_json(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ExportError(f"{path} is not JSON ({error}); the file is damaged") from None
    return data


def read_report(folder: Path) -> dict[str, Any]:
    path = folder / REPORT
    return read_json(path) if path.is_file() and (folder / CHECKPOINT_INFO).is_file() else {}
