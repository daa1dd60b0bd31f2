"""Small trainings for the tests, and for the processes that the tests start.

    python tiny_training.py MODEL_DIR RUN_DIR '{"train": {…}, "output": {…}, "adapter": {…}}'

prints one JSON line per event. ``"gradient": PATH`` in the JSON saves the first step's gradient
and trains nothing, save with ``"goes_on": true``; ``"resume": PATH`` goes on from a checkpoint;
``"slow": S`` sleeps S seconds after every step; ``"fails": R`` lets rank R end with exit code 3 in
the second step; ``"replay": N`` gives N replay rows (the saved gradient is then that of a model
that was moved away from what was recorded).
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from selfcog.config.schema import (
    AdapterSection,
    ModelSection,
    OutputSection,
    SftConfig,
    TeacherSection,
    TrainSection,
)
from selfcog.events import Event, EventLog
from selfcog.model.adapter import add_adapter
from selfcog.model.load import load_model, load_tokenizer
from selfcog.runs import CheckpointInfo, RunDir
from selfcog.train import optim
from selfcog.train.loop import Training, TrainResult, train
from selfcog.train.setup import TrainingParts, prepare_training
from selfcog.types import IGNORE_INDEX, TokenizedExample

VOCABULARY = 256


def make_rows(
    count: int = 24, *, seed: int = 0, longest: int = 40, vocabulary: int = VOCABULARY
) -> list[TokenizedExample]:
    """Random rows of 6 to ``longest`` tokens; their second half is trained."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        length = draw.randint(6, longest)
        ids = [draw.randrange(vocabulary) for _ in range(length)]
        half = length // 2
        labels = [IGNORE_INDEX] * half + ids[half:]
        rows.append(TokenizedExample(ids, labels, source="rows.jsonl", line=number + 1))
    return rows


def make_replay(count: int = 7) -> list[TokenizedExample]:
    """Rows that no training row is like."""
    return [replace(row, kind="replay") for row in make_rows(count, seed=5)]


def make_config(**sections: dict[str, Any]) -> SftConfig:
    """Rank 4, 8 examples a step, constant rate 1e-3, evaluated and saved at the end only."""
    fixed = {"lr_scheduler_type": "constant", "learning_rate": 1e-3, "warmup_ratio": 0.0}
    return SftConfig(
        model=ModelSection(
            **{"model": "tiny", "torch_dtype": "float32", **sections.get("model", {})}
        ),
        adapter=AdapterSection(**{"lora_rank": 4, **sections.get("adapter", {})}),
        train=TrainSection(**{"global_batch_size": 8, **fixed, **sections.get("train", {})}),
        output=OutputSection(**{"eval_steps": 1000, **sections.get("output", {})}),
        teacher=TeacherSection(**sections.get("teacher", {})),
    )


def make_model(folder: Path, config: SftConfig) -> Any:
    """The tiny model with an adapter that already changes something, the same every time."""
    model = load_model(folder, device="cpu", torch_dtype="float32")
    if config.adapter.tuner_type == "full":
        return model.requires_grad_(True)
    torch.manual_seed(1)
    tuned = add_adapter(model, config.adapter)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return tuned


def run_training(
    model_dir: Path,
    run_dir: Path,
    config: SftConfig,
    *,
    rows: list[TokenizedExample] | None = None,
    dev_rows: list[TokenizedExample] | None = None,
    events: list[Event] | None = None,
    model: Any = None,
    **options: Any,
) -> TrainResult:
    run_dir.mkdir(parents=True, exist_ok=True)
    run = RunDir(run_dir)
    listeners = [] if events is None else [events.append]
    return train(
        model=make_model(model_dir, config) if model is None else model,
        tokenizer=load_tokenizer(model_dir),
        train_rows=make_rows() if rows is None else rows,
        dev_rows=[] if dev_rows is None else dev_rows,
        config=config,
        run=run,
        info=CheckpointInfo(str(model_dir), config.adapter.tuner_type),
        log=EventLog(run.events_path, listeners),
        **options,
    )


def prepare(
    model_dir: Path,
    run_dir: Path,
    config: SftConfig,
    rows: Any,
    replay_rows: Sequence[TokenizedExample] = (),
    resume_from: Path | None = None,
) -> TrainingParts:
    run_dir.mkdir(parents=True, exist_ok=True)
    return prepare_training(
        make_model(model_dir, config),
        load_tokenizer(model_dir),
        rows,
        config,
        RunDir(run_dir),
        CheckpointInfo(str(model_dir), "lora"),
        EventLog(),
        resume_from,
        replay_rows,
    )


@dataclass(frozen=True, slots=True)
class FirstStep:
    """Gradient before clipping, added up over the ranks, and what the two losses are."""

    gradient: torch.Tensor
    loss: float
    replay_loss: float | None = None


def first_step(
    model_dir: Path,
    run_dir: Path,
    config: SftConfig,
    rows: list[TokenizedExample],
    replay_rows: Sequence[TokenizedExample] = (),
    *,
    texts: bool = True,
) -> FirstStep:
    """The first step of a training; with replay rows of a model that ``move`` has changed.

    Without ``texts`` the gradient is that of the replay rows alone.
    """
    parts = prepare(model_dir, run_dir, config, rows, replay_rows)
    training = Training(
        parts.plan,
        parts.schedule,
        parts.forward,
        parts.weights,
        parts.optimizer,
        parts.keeper,
        parts.world,
        parts.log,
        config,
        rows,
        [],
        [],
        None,
        parts.replay,
        parts.shards,
    )
    if parts.replay is not None:
        move(parts.weights)
    parts.forward.model.train()
    step, _ = training.parts_of(0)
    training.add_up_gradient(step if texts else step[1:], 1.0)
    parts.world.add_up(parts.weights.buffer)
    side = parts.weights.side_numbers
    loss, *replayed = [float(side[part.total]) / part.normaliser for part in step]
    gradient = parts.weights.gradient.clone()
    parts.put_model_back()
    return FirstStep(gradient, loss, replayed[0] if replayed else None)


def move(weights: optim.TrainableWeights, size: float = 0.2) -> None:
    """Change all trained weights a little, the same every time."""
    generator = torch.Generator().manual_seed(3)
    for parameter in weights.named.values():
        parameter.data += size * torch.randn(parameter.shape, generator=generator)


def first_gradient(
    model_dir: Path, run_dir: Path, config: SftConfig, rows: list[TokenizedExample]
) -> tuple[torch.Tensor, float]:
    """Gradient (before clipping) and loss of the first step, added up over the ranks."""
    found = first_step(model_dir, run_dir, config, rows)
    return found.gradient, found.loss


def main() -> None:
    model_dir, run_dir = Path(sys.argv[1]), Path(sys.argv[2])
    settings = json.loads(sys.argv[3])
    config = make_config(**{k: v for k, v in settings.items() if isinstance(v, dict)})
    replay_rows = make_replay(settings.get("replay", 0))
    if "gradient" in settings:
        found = first_step(model_dir, run_dir, config, make_rows(), replay_rows)
        torch.save(found.gradient, settings["gradient"])
        if not settings.get("goes_on"):
            return

    def show(event: Event) -> None:
        print(json.dumps({"event": event.kind, **asdict(event)}), flush=True)
        if event.kind == "step":
            time.sleep(settings.get("slow", 0.0))

    run_dir.mkdir(parents=True, exist_ok=True)
    model = make_model(model_dir, config)
    if str(settings.get("fails")) == os.environ.get("RANK"):
        original = optim.set_rate

        def set_rate_or_fail(optimizer: torch.optim.Optimizer, rate: float) -> None:
            if optimizer.state:
                sys.exit(3)
            original(optimizer, rate)

        optim.set_rate = set_rate_or_fail
    resume = settings.get("resume")
    train(
        model=model,
        tokenizer=load_tokenizer(model_dir),
        train_rows=make_rows(),
        dev_rows=make_rows(5, seed=9),
        config=config,
        run=RunDir(run_dir),
        info=CheckpointInfo(str(model_dir), "lora"),
        log=EventLog(RunDir(run_dir).events_path, [show]),
        resume_from=Path(resume) if resume else None,
        replay_rows=replay_rows,
    )


if __name__ == "__main__":
    from selfcog.errors import SelfcogError

    try:
        main()
    except SelfcogError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
