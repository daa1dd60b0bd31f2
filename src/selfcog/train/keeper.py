"""Which checkpoints a run has: writing them, the best so far, which ones stay."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from selfcog.config.schema import OutputSection
from selfcog.errors import TrainError
from selfcog.events import CheckpointEvent, EventLog
from selfcog.runs import CheckpointInfo, RunDir, write_json_atomic
from selfcog.train import random_state
from selfcog.train.checkpoint import (
    Snapshot,
    TrainerState,
    steps_to_drop,
    write_training,
    write_weights,
    written_whole,
)
from selfcog.train.dist import World
from selfcog.train.optim import TrainableWeights

# Small against one dev question of a thousand: drift only decides between equal shares.
TIE_BREAK = 1e-4


@dataclass(slots=True)
class CheckpointKeeper:
    """Writes the checkpoints of one run and remembers the best.

    ``state`` is the training's own: its step is set by the loop, the rest of it here.
    ``with_training``: whether a checkpoint can be continued. ``metric``: the best is chosen by it.
    """

    run: RunDir
    info: CheckpointInfo
    output: OutputSection
    state: TrainerState
    model: Any
    tokenizer: Any
    weights: TrainableWeights
    optimizer: torch.optim.Optimizer
    world: World
    log: EventLog
    with_training: bool
    metric: str

    @property
    def last(self) -> Path | None:
        saved = self.state.saved_steps
        return self.run.checkpoint(saved[-1]) if saved else None

    @property
    def best(self) -> Path | None:
        """The best evaluated checkpoint; the last one as long as none was evaluated."""
        best_step = self.state.best_step
        return self.last if best_step is None else self.run.checkpoint(best_step)

    def save(self, reason: str, metrics: Mapping[str, float]) -> None:
        """Write ``checkpoint-<step>``, on all ranks together; drop those that need not stay.

        ``metrics`` are the evaluation at this very step; without them it cannot become the best.
        Raises TrainError when the disk does not take it.
        """
        state = self.state
        value = value_of(metrics, self.metric)
        if value is not None and self._is_better(value):
            state.best_step, state.best_value = state.step, value
        saved = sorted({*state.saved_steps, state.step})
        dropped = steps_to_drop(saved, state.best_step, self.output.save_total_limit)
        state.saved_steps = [step for step in saved if step not in dropped]
        snapshot = Snapshot.take(self.weights, self.optimizer, self.world, self.with_training)
        generators = self.world.collect(random_state.capture(self.world.device))
        if not self.world.is_main:
            return
        target = self.run.checkpoint(state.step)
        try:
            with written_whole(target) as folder:
                write_weights(folder, self.model, self.tokenizer, self.weights, snapshot)
                replace(self.info, step=state.step, metrics=dict(metrics)).write(folder)
                if self.with_training:
                    write_training(folder, state, snapshot, generators)
            for step in dropped:
                shutil.rmtree(self.run.checkpoint(step), ignore_errors=True)
            self.write_run_state("running")
        except OSError as error:
            raise TrainError(f"cannot write {target}: {error}") from error
        self.log.emit(CheckpointEvent(state.step, str(target), reason))

    def write_run_state(self, status: str) -> None:
        """run.json: how far the run is, for whoever looks at its folder."""
        if not self.world.is_main:
            return
        data = {
            "status": status,
            "step": self.state.step,
            "num_steps": self.state.num_steps,
            "last_model_checkpoint": str(self.last) if self.last else None,
            "best_model_checkpoint": str(self.best) if self.best else None,
            "best_value": self.state.best_value,
            "metric_for_best_model": self.metric,
        }
        write_json_atomic(self.run.state_path, data)

    def _is_better(self, value: float) -> bool:
        best = self.state.best_value
        if best is None or self.state.best_step not in self.state.saved_steps:
            return True
        return value < best if self.metric == "loss" else value > best


def value_of(metrics: Mapping[str, float], metric: str) -> float | None:
    """What a checkpoint is ranked by; None where it was not measured.

    "identity" ranks by the share of right answers, then by less drift ("kl", where there is one).
    """
    value = metrics.get(metric)
    if value is None or metric != "identity":
        return value
    return value - TIE_BREAK * min(metrics.get("kl", 0.0), 1.0)
