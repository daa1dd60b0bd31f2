"""Checkpoints: written whole or not at all, read back exactly, kept when best or last.

    checkpoint-N/            adapter (or all weights), tokenizer, checkpoint.json
    checkpoint-N/state/      weights.safetensors    the trained weights as float32
                             optimizer.safetensors  AdamW's moments
                             random.json            generators of every rank
                             trainer.json           step, settings, data, best so far

No pickles: tensors are safetensors, the rest is JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from selfcog.config.schema import SftConfig
from selfcog.errors import ConfigError, TrainError
from selfcog.runs import RunDir, write_json_atomic
from selfcog.train import random_state
from selfcog.train.dist import World
from selfcog.train.optim import TrainableWeights, load_optimizer_tensors, optimizer_tensors
from selfcog.types import TokenizedExample

STATE = "state"
STATE_VERSION = 1
# What may change between a run and its continuation: none of it changes the result.
FREE_SETTINGS = {
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "global_batch_size",
    "per_device_eval_batch_size",
    "gradient_checkpointing",
    "tokens_per_batch",
    "packing",
    "ddp_backend",
    "deepspeed",
    "fsdp",
    "num_threads",
}


@dataclass(slots=True)
class TrainerState:
    """Where a training stands. ``step`` updates are done.

    ``saved_steps`` are this run's checkpoints that are still there; ``best_step`` is None as long
    as none of them was evaluated, ``best_value`` its metric. A continuation must have the same
    ``settings`` and ``data_hash``.
    """

    step: int = 0
    num_steps: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    data_hash: str = ""
    world_size: int = 1
    best_step: int | None = None
    best_value: float | None = None
    saved_steps: list[int] = field(default_factory=list)
    loss_scale: float = 1.0
    version: int = STATE_VERSION


def settings_that_matter(
    config: SftConfig, *, examples_per_step: int, num_steps: int, learning_rate: float
) -> dict[str, Any]:
    """What a continuation must have in common with its run, by flag name."""
    chosen: dict[str, Any] = {
        key: value
        for section in (config.train, config.adapter, config.teacher)
        for key, value in section.model_dump(mode="json").items()
        if key not in FREE_SETTINGS
    }
    return chosen | {
        "examples_per_step": examples_per_step,
        "num_steps": num_steps,
        "learning_rate": learning_rate,
    }


def hash_rows(rows: Sequence[TokenizedExample]) -> str:
    """A fingerprint of the training rows, their order, what is supervised in them and how much."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(array("q", [row.num_tokens, *row.input_ids, *row.labels]).tobytes())
        if row.weight != 1.0:
            digest.update(array("d", [row.weight]).tobytes())
    return digest.hexdigest()


def find_checkpoint(path: Path) -> Path:
    """The checkpoint to continue: ``path`` itself, or the last one of the run folder ``path``.

    Its parent is the run folder; a continued run goes on writing there. Raises ConfigError.
    """
    if (path / STATE / "trainer.json").is_file():
        return path
    if not path.is_dir():
        raise ConfigError(f"--resume_from_checkpoint {path} does not exist")
    found = [folder for _, folder in RunDir(path).checkpoints()]
    whole = [folder for folder in found if (folder / STATE / "trainer.json").is_file()]
    if whole:
        return whole[-1]
    if found or (path / "checkpoint.json").is_file():
        raise ConfigError(
            f"--resume_from_checkpoint {path} holds weights without a training state; the run "
            "must have been made with --save_only_model false"
        )
    raise ConfigError(f"--resume_from_checkpoint {path} is no checkpoint and holds none")


def read_state(checkpoint: Path) -> TrainerState:
    """Where the training of ``checkpoint`` stood. Raises TrainError when it cannot be read."""
    path = checkpoint / STATE / "trainer.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise TrainError(f"cannot continue from {checkpoint}: {path.name}: {error}") from None
    if data.get("version") != STATE_VERSION:
        raise TrainError(
            f"{checkpoint} has a training state of version {data.get('version')}; this selfcog "
            f"reads version {STATE_VERSION}"
        )
    return TrainerState(**data)


def check_continuation(saved: TrainerState, now: TrainerState, checkpoint: Path) -> None:
    """Raises ConfigError or TrainError when ``now`` is not the run that ``saved`` belongs to."""
    settings = json.loads(json.dumps(now.settings))
    changed = [
        f"{key} was {saved.settings.get(key)}, is {settings.get(key)}"
        for key in sorted(saved.settings.keys() | settings.keys())
        if saved.settings.get(key) != settings.get(key)
    ]
    if changed:
        raise ConfigError(
            f"{checkpoint} cannot be continued with other settings: {'; '.join(changed)}. Use "
            "those of the run's config.yaml (--global_batch_size sets the examples per step)"
        )
    if saved.data_hash != now.data_hash:
        raise TrainError(
            f"{checkpoint} cannot be continued: the training rows are not those it was trained "
            "on; use the same files, samples, seeds and tokenizer, or start a new run"
        )


def load_training(
    checkpoint: Path,
    state: TrainerState,
    weights: TrainableWeights,
    optimizer: torch.optim.Optimizer,
    world: World,
    seed: int,
) -> None:
    """Put weights, moments and random generators back. Raises TrainError when they do not fit."""
    saved = load_file(checkpoint / STATE / "weights.safetensors")
    shapes = {name: tuple(tensor.shape) for name, tensor in saved.items()}
    wanted = weights.shapes
    if shapes != wanted:
        name = sorted(set(shapes.items()) ^ set(wanted.items()))[0][0]
        raise TrainError(
            f"{checkpoint} belongs to another model or adapter: {name} is "
            f"{shapes.get(name, 'missing')} there and {wanted.get(name, 'missing')} here"
        )
    for name, parameter in weights.named.items():
        parameter.data.copy_(weights.part(name, saved[name]))
    moments = load_file(checkpoint / STATE / "optimizer.safetensors")
    load_optimizer_tensors(optimizer, weights, moments)
    generators = json.loads((checkpoint / STATE / "random.json").read_text(encoding="utf-8"))
    if len(generators) == world.size:
        random_state.restore(generators[world.rank], world.device)
    else:
        random_state.seed_everything(seed, world.rank, state.step)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The trained weights as float32, by name, and AdamW's tensors, by name and key; whole.

    ``moments`` are empty where the checkpoint is not to be continued. What was in shards is there
    on rank 0 only, in its main memory.
    """

    weights: dict[str, torch.Tensor]
    moments: dict[str, torch.Tensor]

    @classmethod
    def take(
        cls,
        weights: TrainableWeights,
        optimizer: torch.optim.Optimizer,
        world: World,
        with_training: bool,
    ) -> Snapshot:
        """All ranks call it: shards are gathered, one after the other."""

        def whole(name: str, tensor: torch.Tensor) -> torch.Tensor:
            found = weights.whole(name, tensor)
            if name not in weights.sharded:
                return found
            return found.cpu() if world.is_main else found.new_empty(0)

        own = {name: whole(name, parameter) for name, parameter in weights.named.items()}
        moments = optimizer_tensors(optimizer, weights) if with_training else {}
        return cls(own, {key: whole(key.rpartition(".")[0], one) for key, one in moments.items()})


def write_weights(
    folder: Path, model: Any, tokenizer: Any, weights: TrainableWeights, snapshot: Snapshot
) -> None:
    """What ``infer``, ``export``, peft and transformers read."""
    from peft import PeftModel

    if isinstance(model, PeftModel):
        # "auto" would ask a model hub whether the vocabulary was changed; it never is.
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # an empty form
    else:
        trained = {id(p): name for name, p in model.named_parameters() if name in weights.named}
        cast: dict[int, torch.Tensor] = {}  # tied weights stay one tensor
        tensors = model.state_dict()
        for name, parameter in model.named_parameters(remove_duplicate=False):
            if (first := trained.get(id(parameter))) is not None:
                own = snapshot.weights[first].to(weights.own_dtypes[first])
                tensors[name] = cast.setdefault(id(parameter), own)
        with _without_progress_bar():
            model.save_pretrained(folder, state_dict=tensors)
    tokenizer.save_pretrained(folder)


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def write_training(
    folder: Path,
    state: TrainerState,
    snapshot: Snapshot,
    generators: Sequence[Mapping[str, Any]],
) -> None:
    """The ``state`` folder of a checkpoint."""
    folder = folder / STATE
    folder.mkdir()
    for kind, tensors in (("weights", snapshot.weights), ("optimizer", snapshot.moments)):
        on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        save_file(on_cpu, folder / f"{kind}.safetensors")
    (folder / "random.json").write_text(json.dumps(list(generators)), encoding="utf-8")
    write_json_atomic(folder / "trainer.json", asdict(state))


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A folder to fill; it gets the name ``target`` only when the block ends without error."""
    draft = target.with_name(f".{target.name}.partial")
    old = target.with_name(f".{target.name}.old")
    for leftover in (draft, old):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    for path in draft.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def steps_to_drop(saved: Sequence[int], best: int | None, limit: int | None) -> list[int]:
    """Which of the ``saved`` steps go when at most ``limit`` folders stay (None: all stay).

    The last and the best always stay, then the newest: [10, 20, 30] with best 10 and limit 2
    drops 20.
    """
    if limit is None or not saved:
        return []
    newest_first = sorted(saved, reverse=True)
    kept = {newest_first[0], *({best} & set(saved))}
    for step in newest_first:
        if len(kept) >= limit:
            break
        kept.add(step)
    return [step for step in saved if step not in kept]
