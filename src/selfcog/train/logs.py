"""Listeners that turn events into files: logging.jsonl, curves as PNG, TensorBoard.

Their names are those that users of ms-swift know: loss, acc, grad_norm, learning_rate, epoch,
global_step, and eval_* for the dev rows.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from selfcog.errors import MissingExtraError
from selfcog.events import BalanceEvent, EndEvent, EvalEvent, Event, Listener, StartEvent, StepEvent
from selfcog.runs import RunDir, write_text_atomic
from selfcog.train.balance import Balance

SMOOTHING = 0.9
EVAL_NAMES = {"token_accuracy": "acc"}


class TrainingLog:
    """Writes logging.jsonl: the first step, every ``logging_steps``-th, the last, evaluations.

    loss and acc are means over the supervised tokens since the line before; grad_norm and
    learning_rate are those of the step itself. A continued run drops the lines after the
    checkpoint it continues, so that every step is there once.
    """

    def __init__(self, run: RunDir, logging_steps: int) -> None:
        self.path = run.logging_path
        self.events_path = run.events_path
        self.logging_steps = logging_steps
        self.epoch = 0.0
        self.window: list[StepEvent] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, StartEvent):
            self._start(event)
        elif isinstance(event, StepEvent):
            self.window.append(event)
            self.epoch = event.epoch
            if self._is_due(event.step, event.num_steps):
                self._write(summarise(self.window))
                self.window = []
        elif isinstance(event, EvalEvent):
            names = {f"eval_{EVAL_NAMES.get(k, k)}": v for k, v in event.metrics.items()}
            self._write({**names, "epoch": round(self.epoch, 6), "global_step": event.step})

    def _is_due(self, step: int, num_steps: int) -> bool:
        return step == 1 or step % self.logging_steps == 0 or step == num_steps

    def _start(self, event: StartEvent) -> None:
        if event.first_step == 0:
            write_text_atomic(self.path, "")
            return
        kept = [line for line in read_log(self.path) if line["global_step"] <= event.first_step]
        lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in kept]
        write_text_atomic(self.path, "".join(lines))
        # The steps since the last line are in events.jsonl; the last entry of a step counts.
        steps: dict[int, StepEvent] = {}
        for entry in read_log(self.events_path):
            if entry["event"] == "step" and entry["step"] <= event.first_step:
                fields = {key: value for key, value in entry.items() if key != "event"}
                steps[entry["step"]] = StepEvent(**fields)
        for step in sorted(steps):
            self.window.append(steps[step])
            self.epoch = steps[step].epoch
            if self._is_due(step, steps[step].num_steps):
                self.window = []

    def _write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")


def summarise(window: list[StepEvent]) -> dict[str, Any]:
    """One line of logging.jsonl for some consecutive steps."""
    last = window[-1]
    supervised = sum(step.num_supervised for step in window)
    seconds = sum(step.step_time_s for step in window)
    line: dict[str, Any] = {
        "loss": sum(step.loss * step.num_supervised for step in window) / supervised
    }
    accuracies = [step.token_accuracy for step in window]
    if None not in accuracies:
        correct = sum(a * s.num_supervised for a, s in zip(accuracies, window, strict=True) if a)
        line["acc"] = correct / supervised
    if (balance := _balance_of(window)) is not None:
        line |= {"imbalance": round(balance.imbalance, 4), "busy": round(balance.busy, 4)}
    return line | {
        "grad_norm": last.grad_norm,
        "learning_rate": last.learning_rate,
        "epoch": round(last.epoch, 6),
        "global_step": last.step,
        "tokens_per_s": round(sum(step.num_tokens for step in window) / max(seconds, 1e-9), 1),
    }


def _balance_of(window: list[StepEvent]) -> BalanceEvent | None:
    balance = Balance(1)
    for step in window:
        balance.add(step)
    return balance.event()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file; a last line that a crash cut off is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Curves:
    """Draws images/train_loss.png and so on when a training ends, from logging.jsonl."""

    def __init__(self, run: RunDir) -> None:
        self.log_path = run.logging_path
        self.folder = run.images_dir

    def __call__(self, event: Event) -> None:
        if isinstance(event, EndEvent):
            draw_curves(self.log_path, self.folder)


def draw_curves(log_path: Path, folder: Path) -> list[Path]:
    """One PNG for every number in the log; the training loss also smoothed (0.9)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves: dict[str, tuple[list[int], list[float]]] = {}
    for line in read_log(log_path):
        for name, value in line.items():
            if name in ("epoch", "global_step") or not isinstance(value, int | float):
                continue
            label = name if name.startswith("eval_") else f"train_{name}"
            steps, values = curves.setdefault(label, ([], []))
            steps.append(line["global_step"])
            values.append(value)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for label, (steps, values) in curves.items():
        # Without pyplot: no global state, and it works in any thread.
        figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        smooth = label == "train_loss" and len(values) > 2
        axes.plot(steps, values, color="#1f77b4", alpha=0.35 if smooth else 1.0, marker=".")
        if smooth:
            axes.plot(steps, smoothed(values), color="#1f77b4")
        axes.set(title=label, xlabel="step")
        axes.grid(alpha=0.3)
        path = folder / f"{label}.png"
        figure.savefig(path)
        written.append(path)
    return written


def smoothed(values: list[float], weight: float = SMOOTHING) -> list[float]:
    """Exponential mean without a bias towards 0 at the start (as TensorBoard draws it)."""
    result, mean, norm = [], 0.0, 0.0
    for value in values:
        mean = mean * weight + value * (1 - weight)
        norm = norm * weight + (1 - weight)
        result.append(mean / norm)
    return result


class TensorBoard:
    """Scalars for TensorBoard: train/* every step, eval/* every evaluation."""

    def __init__(self, run: RunDir, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        run.tensorboard_dir.mkdir(parents=True, exist_ok=True)
        purge_step = first_step + 1 if first_step else None
        self.writer: Any = SummaryWriter(str(run.tensorboard_dir), purge_step=purge_step)

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepEvent):
            values = {
                "loss": event.loss,
                "acc": event.token_accuracy,
                "grad_norm": event.grad_norm,
                "learning_rate": event.learning_rate,
                "epoch": event.epoch,
            }
            for name, value in values.items():
                if value is not None:
                    self.writer.add_scalar(f"train/{name}", value, event.step)
        elif isinstance(event, EvalEvent):
            for name, value in event.metrics.items():
                label = f"eval/{EVAL_NAMES.get(name, name)}"
                self.writer.add_scalar(label, value, event.step)
            self.writer.flush()
        elif isinstance(event, EndEvent):
            self.writer.close()


def file_listeners(
    run: RunDir, logging_steps: int, report_to: tuple[str, ...], first_step: int = 0
) -> tuple[list[Listener], list[str]]:
    """The listeners of a run, and notices about what cannot be written.

    Raises MissingExtraError when TensorBoard is asked for and not installed.
    """
    listeners: list[Listener] = [TrainingLog(run, logging_steps)]
    notices = []
    if "tensorboard" in report_to:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingExtraError(
                "--report_to tensorboard needs a package that is not installed: "
                "pip install 'selfcog[tensorboard]'"
            )
        listeners.append(TensorBoard(run, first_step))
    if importlib.util.find_spec("matplotlib") is None:
        notices.append("no curves in images/: pip install 'selfcog[plots]'")
    else:
        listeners.append(Curves(run))
    return listeners, notices
