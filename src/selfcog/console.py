"""Events on a terminal: a progress bar where there is one, one line per log interval elsewhere.

Floor 1: it needs the events only, so every command may use it. rich is loaded when something is
shown with it: an answer that needs no model, such as an error, does not wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from selfcog.events import (
    BalanceEvent,
    CheckpointEvent,
    EndEvent,
    EvalEvent,
    Event,
    StartEvent,
    StepEvent,
    WarningEvent,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

# Weight of the newest step in the tokens-per-second shown: about the last ten steps count.
SMOOTHING = 0.1


def make_console(*, stderr: bool = False) -> Console:
    """A console that wraps nothing on its own: paths stay whole, so that they can be copied."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def print_notes(notes: Iterable[str], *, stderr: bool = True) -> None:
    """One line each, as it is."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr if stderr else sys.stdout)


class TrainingView:
    """Listener for an EventLog. Call ``close`` when the run is over, however it ended."""

    def __init__(self, console: Console, *, logging_steps: int = 5, progress: bool = True) -> None:
        self.console = console
        self.logging_steps = logging_steps
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.show_bar = progress and console.is_terminal
        self.tokens_per_s = 0.0
        self.last_loss = float("nan")

    def __call__(self, event: Event) -> None:
        from rich.markup import escape

        if isinstance(event, StartEvent):
            self._start(event)
        elif isinstance(event, StepEvent):
            self._step(event)
        elif isinstance(event, EvalEvent):
            self._print(f"step {event.step}: {format_metrics(event.metrics)}")
        elif isinstance(event, CheckpointEvent) and event.reason == "signal":
            self._print(f"interrupted: checkpoint written to {escape(event.path)}")
        elif isinstance(event, WarningEvent):
            self._print(f"[yellow]warning:[/] {escape(event.message)}")
        elif isinstance(event, BalanceEvent):
            self._print(describe_balance(event))
        elif isinstance(event, EndEvent):
            self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _start(self, event: StartEvent) -> None:
        share = event.num_trainable_parameters / max(event.num_parameters, 1)
        self._print(
            f"training {event.num_examples} examples, {event.examples_per_step} a step, "
            f"{event.num_steps} steps on {event.world_size} × {event.device}; "
            f"{event.num_trainable_parameters / 1e6:.2f} M of "
            f"{event.num_parameters / 1e6:.2f} M parameters ({share:.2%})"
        )
        if not self.show_bar:
            return
        from rich import progress as parts

        self.bar = parts.Progress(
            parts.TextColumn("training"),
            parts.BarColumn(bar_width=24),
            parts.MofNCompleteColumn(),
            parts.TextColumn("loss {task.fields[loss]}"),
            parts.TextColumn("{task.fields[speed]} tokens/s"),
            parts.TimeElapsedColumn(),
            parts.TextColumn("ETA"),
            parts.TimeRemainingColumn(),
            console=self.console,
        )
        self.task = self.bar.add_task(
            "training", total=event.num_steps, completed=event.first_step, loss="–", speed="–"
        )
        self.bar.start()

    def _step(self, event: StepEvent) -> None:
        speed = event.num_tokens / max(event.step_time_s, 1e-9)
        first = self.tokens_per_s == 0.0
        weight = 1.0 if first else SMOOTHING
        self.tokens_per_s += weight * (speed - self.tokens_per_s)
        self.last_loss = event.loss
        if self.bar is not None and self.task is not None:
            self.bar.update(
                self.task,
                completed=event.step,
                loss=f"{event.loss:.4f}",
                speed=f"{self.tokens_per_s:,.0f}",
            )
        elif first or event.step % self.logging_steps == 0 or event.step == event.num_steps:
            left_s = (event.num_steps - event.step) * event.num_tokens / self.tokens_per_s
            self._print(
                f"step {event.step}/{event.num_steps}  epoch {event.epoch:.2f}  "
                f"loss {event.loss:.4f}  lr {event.learning_rate:.2e}  "
                f"grad_norm {event.grad_norm:.3f}  {self.tokens_per_s:,.0f} tokens/s  "
                f"ETA {left_s:.0f} s{_describe_ranks(event)}"
            )

    def _print(self, text: str) -> None:
        (self.bar.console if self.bar is not None else self.console).print(text)


def _describe_ranks(event: StepEvent) -> str:
    if event.imbalance is None or event.busy is None:
        return ""
    return f"  imbalance {event.imbalance:.1%}  busy {event.busy:.0%}"


def describe_balance(event: BalanceEvent) -> str:
    return (
        f"{event.world_size} ranks: the fullest had {event.imbalance:.1%} more tokens than the "
        f"mean (worst step {event.worst:.1%}); ranks computed {event.busy:.0%} of the time and "
        "waited for the slowest in the rest"
    )


def format_metrics(metrics: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
