"""Small trainings for the tests, and for the processes that the tests start.

    python tiny_training.py MODEL_DIR RUN_DIR '{"train": {…}, "output": {…}, "adapter": {…}}'

prints one JSON line per event. ``"gradient": PATH`` in the JSON saves the first step's gradient
and trains nothing; ``"resume": PATH`` goes on from a checkpoint; ``"slow": S`` sleeps S seconds
after every step; ``"fails": R`` lets rank R end with exit code 3 in the second step.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from selfcog.config.schema import (
    AdapterSection,
    ModelSection,
    OutputSection,
    SftConfig,
    TrainSection,
)
from selfcog.events import Event, EventLog
from selfcog.model.adapter import add_adapter
from selfcog.model.load import load_model, load_tokenizer
from selfcog.runs import CheckpointInfo, RunDir
from selfcog.train import optim
from selfcog.train.batches import share_of_rank
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


def make_config(**sections: dict[str, Any]) -> SftConfig:
    """Rank 4, 8 examples a step, constant rate 1e-3, evaluated and saved at the end only."""
    fixed = {"lr_scheduler_type": "constant", "learning_rate": 1e-3, "warmup_ratio": 0.0}
    return SftConfig(
        model=ModelSection(model="tiny"),
        adapter=AdapterSection(**{"lora_rank": 4, **sections.get("adapter", {})}),
        train=TrainSection(**{"global_batch_size": 8, **fixed, **sections.get("train", {})}),
        output=OutputSection(**{"eval_steps": 1000, **sections.get("output", {})}),
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


def prepare(model_dir: Path, run_dir: Path, config: SftConfig, rows: Any) -> TrainingParts:
    run_dir.mkdir(parents=True, exist_ok=True)
    return prepare_training(
        make_model(model_dir, config),
        load_tokenizer(model_dir),
        rows,
        config,
        RunDir(run_dir),
        CheckpointInfo(str(model_dir), "lora"),
        EventLog(),
        None,
    )


def first_gradient(
    model_dir: Path, run_dir: Path, config: SftConfig, rows: list[TokenizedExample]
) -> tuple[torch.Tensor, float]:
    """Gradient (before clipping) and loss of the first step, added up over the ranks."""
    parts = prepare(model_dir, run_dir, config, rows)
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
    )
    step = [rows[index] for index in parts.plan.examples(0)]
    supervised = sum(row.num_supervised for row in step)
    parts.forward.model.train()
    share = share_of_rank(step, parts.world.rank, parts.world.size)
    training.add_up_gradient(share, 1 / supervised)
    parts.world.add_up(parts.weights.buffer)
    loss = float(parts.weights.side_numbers[optim.LOSS]) / supervised
    gradient = parts.weights.gradient.clone()
    parts.put_model_back()
    return gradient, loss


def main() -> None:
    model_dir, run_dir = Path(sys.argv[1]), Path(sys.argv[2])
    settings = json.loads(sys.argv[3])
    config = make_config(**{k: v for k, v in settings.items() if isinstance(v, dict)})
    if "gradient" in settings:
        gradient, _ = first_gradient(model_dir, run_dir, config, make_rows())
        torch.save(gradient, settings["gradient"])
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
    )


if __name__ == "__main__":
    from selfcog.errors import SelfcogError

    try:
        main()
    except SelfcogError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
