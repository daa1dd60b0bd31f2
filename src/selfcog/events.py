"""What a run tells the world: typed events, written as JSON lines and given to listeners.

The trainer only knows ``EventLog.emit``; the terminal, the plots, TensorBoard and any web page
read the same events. ``events.jsonl`` can be followed while the run goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; ``time_s`` is Unix time in seconds."""

    time_s: float = field(default_factory=time.time, kw_only=True)

    @property
    def kind(self) -> str:
        return type(self).__name__.removesuffix("Event").lower()


@dataclass(frozen=True, slots=True)
class StartEvent(Event):
    """The plan of a training: counts over all ranks."""

    num_steps: int
    num_epochs: float
    num_examples: int
    examples_per_step: int
    num_trainable_parameters: int
    num_parameters: int
    world_size: int
    device: str
    first_step: int = 0


@dataclass(frozen=True, slots=True)
class StepEvent(Event):
    """One optimiser step. ``loss`` is nats per supervised token (weighted where rows have weights)
    over all ranks, without replay rows; ``num_tokens`` counts these too."""

    step: int
    num_steps: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    num_tokens: int
    num_supervised: int
    step_time_s: float
    fill: float
    """Real tokens / processed positions, 1.0 = no padding."""
    token_accuracy: float | None = None
    """Share of the supervised tokens that were the likeliest token before the update."""
    replay_loss: float | None = None
    """On the replay rows, nats per supervised token: KL to the teacher, or cross-entropy."""
    imbalance: float | None = None
    """Tokens of the fullest rank / mean of all ranks − 1; 0.0 = equal. None with one rank."""
    busy: float | None = None
    """Share of the step, up to the exchange of gradients, that ranks computed instead of waiting
    for the slowest; mean over the ranks. None with one rank."""


@dataclass(frozen=True, slots=True)
class TeacherEvent(Event):
    """The teacher's distribution was recorded at ``num_places`` places of ``num_rows`` rows."""

    num_rows: int
    num_places: int
    top_k: int
    num_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BalanceEvent(Event):
    """How evenly ``num_steps`` steps were shared among the ranks; fields as in StepEvent, over
    all of these steps. ``worst`` is the largest imbalance of one step."""

    world_size: int
    num_steps: int
    imbalance: float
    worst: float
    busy: float


@dataclass(frozen=True, slots=True)
class EvalEvent(Event):
    """Metrics on the dev rows after ``step``; ``loss`` and ``token_accuracy`` at least."""

    step: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class CheckpointEvent(Event):
    """A checkpoint that is complete on disk."""

    step: int
    path: str
    reason: str
    """interval, last, signal or best."""


@dataclass(frozen=True, slots=True)
class WarningEvent(Event):
    """Something the user should know; shown once, kept in the log."""

    message: str


@dataclass(frozen=True, slots=True)
class EndEvent(Event):
    """The run is over: status is "done", "interrupted" or "failed"."""

    status: str
    last_checkpoint: str | None = None
    best_checkpoint: str | None = None
    message: str = ""


Listener = Callable[[Event], None]


class EventLog:
    """Appends events to a JSONL file (if a path is given) and calls every listener.

    Only rank 0 of a distributed run holds one with a path.
    """

    def __init__(self, path: Path | None = None, listeners: list[Listener] | None = None) -> None:
        self.path = path
        self.listeners: list[Listener] = list(listeners or [])

    def emit(self, event: Event) -> None:
        if self.path is not None:
            line = json.dumps({"event": event.kind, **asdict(event)}, ensure_ascii=False)
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(line + "\n")
        for listener in self.listeners:
            listener(event)
