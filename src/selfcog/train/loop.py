"""The training loop.

A step is a number of examples. Its loss is the sum of the token losses over the supervised
tokens of the whole step, over all ranks and forward passes, divided by their number; so packing,
padding, ranks and memory never change what is learnt. Replay rows ride along, with a sum and a
number of their own (train/anchor.py). Ranks meet once a step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals
from typing import Any

import torch

from selfcog.config.schema import SftConfig
from selfcog.errors import Interrupted, TrainError
from selfcog.events import EndEvent, EvalEvent, EventLog, StepEvent, WarningEvent
from selfcog.runs import CheckpointInfo, RunDir
from selfcog.train import optim, random_state
from selfcog.train.anchor import Replay
from selfcog.train.balance import Balance
from selfcog.train.batches import share_of_rank
from selfcog.train.dist import World
from selfcog.train.evaluation import evaluate_rows
from selfcog.train.forward import Forward
from selfcog.train.keeper import CheckpointKeeper
from selfcog.train.memory import shrink
from selfcog.train.optim import TrainableWeights
from selfcog.train.schedule import RateSchedule, StepPlan
from selfcog.train.setup import prepare_training
from selfcog.train.sharding import Shards
from selfcog.train.stop import StopRequest
from selfcog.types import TokenizedExample

Evaluator = Callable[[Any, int], dict[str, float]]
# Asked after every evaluation, on every rank, with the same metrics: is the training done?
Ready = Callable[[dict[str, float]], bool]
# A loss of exactly 0 in the first steps: nothing is learnt, usually since the labels are wrong.
ZERO_LOSS_STEPS = 3


@dataclass(frozen=True, slots=True)
class TrainResult:
    """``metrics`` of the last evaluation, empty without dev rows and evaluators.

    ``best_checkpoint`` is the last one where nothing was evaluated.
    """

    last_checkpoint: Path
    best_checkpoint: Path
    num_steps: int
    metrics: dict[str, float]


def train(
    *,
    model: Any,
    tokenizer: Any,
    train_rows: list[TokenizedExample],
    dev_rows: list[TokenizedExample],
    config: SftConfig,
    run: RunDir,
    info: CheckpointInfo,
    log: EventLog,
    evaluators: Sequence[Evaluator] = (),
    resume_from: Path | None = None,
    is_ready: Ready | None = None,
    replay_rows: Sequence[TokenizedExample] = (),
    shards: Shards | None = None,
) -> TrainResult:
    """Train ``model`` (a PeftModel, or a model that is trained fully) on ``train_rows``.

    Every rank calls this with the same arguments. ``replay_rows`` are what the model must go on
    answering as it does now; they come on top of the examples of a step. ``evaluators`` are called
    on rank 0 as (model, step) and return metrics. ``resume_from`` is a checkpoint folder or a run
    folder; the training then goes on as if it had never stopped, also with another number of
    ranks, and should get the same ``run``. ``is_ready`` may end the training after an evaluation.
    ``shards`` say that ``model`` is spread over the ranks already; None: it is, if the config asks
    for it. At the end the model is in eval mode, with the last weights.

    Raises TrainError (nothing to train on, a loss that is 0 or not finite, out of memory),
    ConfigError (a continuation with other settings), Interrupted (after SIGTERM or SIGINT, with
    a checkpoint written).
    """
    parts = prepare_training(
        model, tokenizer, train_rows, config, run, info, log, resume_from, replay_rows, shards
    )
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
        train_rows,
        dev_rows,
        evaluators,
        is_ready,
        parts.replay,
        parts.shards,
    )
    keeper = parts.keeper
    try:
        with StopRequest() as stop:
            metrics = training.run(stop)
        status, message = "done", ""
    except BaseException as error:
        stopped = isinstance(error, Interrupted | KeyboardInterrupt)
        status, message = ("interrupted" if stopped else "failed"), str(error)
        raise
    finally:
        parts.put_model_back()
        last, best = (str(path) if path else None for path in (keeper.last, keeper.best))
        with suppress(OSError):  # a full disk must not hide the error that it caused
            keeper.write_run_state(status)
            if (balance := training.balance.event()) is not None:
                parts.log.emit(balance)
            parts.log.emit(EndEvent(status, last, best, message))
        parts.close_log()
    assert keeper.last is not None and keeper.best is not None
    return TrainResult(keeper.last, keeper.best, parts.plan.num_steps, metrics)


@dataclass(frozen=True, slots=True)
class StepPart:
    """Rows of a step and how their summed loss enters: times ``weight`` / ``normaliser``.

    ``share`` is what this rank computes of ``rows``; the sum is kept as side number ``total``.
    """

    rows: Sequence[TokenizedExample]
    share: Sequence[TokenizedExample]
    normaliser: float
    weight: float
    total: int


@dataclass(slots=True)
class Training:
    """A training that is ready to run; ``keeper.state.step`` steps are done."""

    plan: StepPlan
    schedule: RateSchedule
    forward: Forward
    weights: TrainableWeights
    optimizer: torch.optim.Optimizer
    keeper: CheckpointKeeper
    world: World
    log: EventLog
    config: SftConfig
    train_rows: Sequence[TokenizedExample]
    dev_rows: Sequence[TokenizedExample]
    evaluators: Sequence[Evaluator]
    is_ready: Ready | None
    replay: Replay | None
    shards: Shards
    balance: Balance = field(init=False)

    def __post_init__(self) -> None:
        self.balance = Balance(self.world.size)

    def run(self, stop: StopRequest) -> dict[str, float]:
        """All steps that are left; the metrics of the last evaluation."""
        output, state = self.config.output, self.keeper.state
        save_steps = output.save_steps or output.eval_steps
        metrics: dict[str, float] = {}
        self.forward.model.train()
        for step in range(state.step, self.plan.num_steps):
            event, signal_number = self.step(step, stop)
            state.step = step + 1
            self.log.emit(event)
            self.balance.add(event)
            if signal_number:
                self.keeper.save("signal", {})
                raise self._interrupted(signal_number)
            is_last = state.step == self.plan.num_steps
            evaluated = is_last or state.step % output.eval_steps == 0
            if evaluated:
                metrics = self.evaluate()
                if not is_last and self.is_ready is not None and self.is_ready(metrics):
                    is_last = True
                    self.log.emit(
                        WarningEvent(f"ready after step {state.step}: training stops here")
                    )
            if is_last or state.step % save_steps == 0:
                self.keeper.save("last" if is_last else "interval", metrics if evaluated else {})
            if is_last:
                break
        return metrics

    def step(self, step: int, stop: StopRequest) -> tuple[StepEvent, int]:
        """One optimiser step, and the signal that some rank was told to stop with (or 0)."""
        started = time.perf_counter()
        settings, state, weights = self.config.train, self.keeper.state, self.weights
        parts, imbalance = self.parts_of(step)
        rows = parts[0].rows
        while True:
            self.add_up_gradient(parts, state.loss_scale)
            self.world.finish_computing()
            weights.side_numbers[optim.BUSY] += time.perf_counter() - started
            weights.side_numbers[optim.SIGTERM] += stop.signal_number == SIGTERM
            weights.side_numbers[optim.SIGINT] += stop.signal_number == SIGINT
            weights.add_up(self.world)
            self.world.finish_computing()
            met_after_s = time.perf_counter() - started
            norm = weights.norm() / state.loss_scale
            if math.isfinite(norm) or state.loss_scale <= 1.0:
                break
            state.loss_scale /= 2  # float16 overflowed: the same step again, scaled less
        side = weights.side_numbers.tolist()
        loss, *replayed = [side[part.total] / part.normaliser for part in parts]
        self._check_numbers(step, loss, norm, rows)
        weights.scale(optim.clip_factor(norm, settings.max_grad_norm) / state.loss_scale)
        rate = self.schedule.rate(step)
        optim.set_rate(self.optimizer, rate)
        self.optimizer.step()
        num_tokens = sum(row.num_tokens for part in parts for row in part.rows)
        num_supervised = max(sum(row.num_supervised for row in rows), 1)
        event = StepEvent(
            step=step + 1,
            num_steps=self.plan.num_steps,
            epoch=self.plan.epochs_after(step + 1),
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            num_tokens=num_tokens,
            num_supervised=num_supervised,
            step_time_s=time.perf_counter() - started,
            fill=num_tokens / max(side[optim.POSITIONS], 1.0),
            token_accuracy=side[optim.CORRECT] / num_supervised,
            replay_loss=replayed[0] if replayed else None,
            imbalance=imbalance if self.world.size > 1 else None,
            busy=self._busy(side[optim.BUSY], met_after_s),
        )
        signal_number = SIGTERM if side[optim.SIGTERM] else SIGINT if side[optim.SIGINT] else 0
        return event, signal_number

    def parts_of(self, step: int) -> tuple[list[StepPart], float]:
        """The examples of a step, then its replay rows where there are any; and the imbalance
        among the ranks."""
        rows = [self.train_rows[index] for index in self.plan.examples(step)]
        replay_rows = [] if self.replay is None else self.replay.rows_of(step)
        share = share_of_rank([rows, replay_rows], self.world.rank, self.world.size)
        total_weight = sum(row.num_supervised * row.weight for row in rows) or 1.0
        parts = [StepPart(rows, share.groups[0], total_weight, 1.0, optim.LOSS)]
        if self.replay is not None:
            number = max(sum(row.num_supervised for row in replay_rows), 1)
            weight, total = self.replay.weight, optim.REPLAY_LOSS
            parts.append(StepPart(replay_rows, share.groups[1], number, weight, total))
        return parts, share.imbalance

    def add_up_gradient(self, parts: Sequence[StepPart], loss_scale: float) -> None:
        """This rank's part of the gradient; out of memory means smaller batches, once more."""
        while True:
            try:
                return self._forward_backward(parts, loss_scale)
            except torch.OutOfMemoryError:
                pass  # the trace holds the tensors: leave the block before trying again
            self._shrink([row for part in parts for row in part.share])

    def evaluate(self) -> dict[str, float]:
        """Metrics on the dev rows and by the evaluators; training does not notice it."""
        with random_state.preserved(self.world.device):
            metrics = self._evaluate_dev()
            if self.evaluators:
                with self.shards.led_by_main() as leads:
                    if leads:
                        self.forward.model.eval()
                        for evaluator in self.evaluators:
                            metrics |= evaluator(self.forward.model, self.keeper.state.step)
                        self.forward.model.train()
                metrics = self.world.share(metrics)
        if metrics:
            self.log.emit(EvalEvent(self.keeper.state.step, metrics))
        return metrics

    def _evaluate_dev(self) -> dict[str, float]:
        rows = self.config.train.per_device_eval_batch_size
        while True:
            try:
                return evaluate_rows(self.forward, self.dev_rows, self.shards, rows)
            except torch.OutOfMemoryError:
                pass
            self._shrink(self.dev_rows)

    def _forward_backward(self, parts: Sequence[StepPart], loss_scale: float) -> None:
        weights = self.weights
        weights.clear()
        batches = [
            (part, batch)
            for part in parts
            for batch in self.forward.batches(part.share)
            if batch.num_targets
        ]
        num_idle = self.shards.count_idle(len(batches))
        for part, batch in batches:
            found = self.forward.loss(batch.to(self.world.device))
            (found.loss_sum * (loss_scale * part.weight / part.normaliser)).backward()
            weights.side_numbers[part.total] += found.loss_sum.detach()
            weights.side_numbers[optim.POSITIONS] += batch.num_positions
            if part.total == optim.LOSS:
                weights.side_numbers[optim.CORRECT] += found.num_correct
        self.shards.idle_passes(num_idle, backward=True)

    def _shrink(self, rows: Sequence[TokenizedExample]) -> None:
        self.shards.refuse_to_shrink(self.forward.token_budget)
        longest = max(row.num_tokens for row in rows)
        message = shrink(self.forward, longest, self.config.train.gradient_checkpointing)
        self.log.emit(WarningEvent(message))

    def _busy(self, all_seconds: float, met_after_s: float) -> float | None:
        """The mean share that the ranks computed; their clocks differ by a little."""
        size = self.world.size
        return min(all_seconds / size / max(met_after_s, 1e-9), 1.0) if size > 1 else None

    def _check_numbers(
        self, step: int, loss: float, norm: float, rows: Sequence[TokenizedExample]
    ) -> None:
        where = ", ".join(f"{row.source}:{row.line}" for row in rows[:3] if row.source)
        where = f" (rows of this step: {where}, …)" if where else ""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainError(
                f"step {step + 1}: the loss is {loss:.4g} and the gradient norm {norm:.4g}; the "
                f"weights were left as they were. Lower --learning_rate, or use --torch_dtype "
                f"float32{where}"
            )
        if loss == 0.0 and step < ZERO_LOSS_STEPS:
            raise TrainError(
                f"step {step + 1}: the loss is exactly 0, so nothing is learnt; look at the "
                f"trained tokens of these rows and at --learning_rate{where}"
            )

    def _interrupted(self, signal_number: int) -> Interrupted:
        last = self.keeper.last
        hint = f"; --resume_from_checkpoint {last} goes on" if self.keeper.with_training else ""
        return Interrupted(
            f"stopped by {Signals(signal_number).name} after step {self.keeper.state.step} of "
            f"{self.plan.num_steps}; {last} is complete{hint}",
            signal_number,
        )
