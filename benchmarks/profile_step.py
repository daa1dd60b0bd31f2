"""Where the time of a training step goes: torch's profiler around steps of ``selfcog sft``.

    python -m benchmarks.profile_step S [--steps 1] [--warmup 1] [-- --torch_dtype bfloat16]

Prints two tables: kinds of work, and the most expensive operators. Time is that of the operators
themselves, on this process's threads; what is left of the wall time is Python and waiting.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.contestants import OURS, Job, Setting, train_command
from benchmarks.models import SHAPES, TrainingRows, build, model_folder, training_rows
from benchmarks.parts import DEMO_EXAMPLES, DEMO_RANK
from benchmarks.report import Table, markdown

# The first kind whose words an operator's name contains.
KINDS = {
    "attention": ("scaled_dot_product", "flash_attention", "_efficient_attention"),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "mkldnn", "linear"),
    "softmax and loss": ("softmax", "gather", "scatter", "argmax", "nll_loss", "cross_entropy"),
    "casts and copies": ("copy_", "_to_copy", "aten::cat", "contiguous", "clone", "index"),
    "optimiser": ("adam", "Optimizer", "vector_norm"),
    "elementwise": ("mul", "add", "silu", "exp", "neg", "sub", "div", "pow", "rsqrt", "mean"),
    "memory": ("empty", "zero", "fill_", "resize"),
}
OTHER = "other operators"
OUTSIDE = "outside operators: Python, waiting"
NUM_OPERATORS = 25


@dataclass(frozen=True, slots=True)
class Operator:
    """``seconds`` in the operator itself, without what it calls; of all ``calls`` together."""

    name: str
    calls: int
    seconds: float


class StepProfiler:
    """Profiles ``steps`` optimiser steps after ``warmup`` of them, whoever makes the steps."""

    def __init__(self, warmup: int, steps: int) -> None:
        self.warmup, self.steps, self.done = warmup, steps, 0
        self.wall_s = 0.0
        self.operators: list[Operator] = []
        self._profiler: Any = None

    def watch(self) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        register_optimizer_step_post_hook(self._after_step)

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        from torch.profiler import ProfilerActivity, profile

        self.done += 1
        if self.done == self.warmup:
            self._profiler = profile(activities=[ProfilerActivity.CPU])
            self._profiler.start()
            self.wall_s = -time.perf_counter()
        elif self.done == self.warmup + self.steps:
            self.wall_s += time.perf_counter()
            self._profiler.stop()
            self.operators = [
                Operator(entry.key, entry.count, entry.self_cpu_time_total / 1e6)
                for entry in self._profiler.key_averages()
            ]


def kind_of(name: str) -> str:
    for kind, words in KINDS.items():
        if any(word in name for word in words):
            return kind
    return OTHER


def kind_table(operators: Iterable[Operator], wall_s: float) -> Table:
    """Seconds and shares by kind, the largest first; shares of the wall time."""
    seconds: dict[str, float] = {}
    for operator in operators:
        kind = kind_of(operator.name)
        seconds[kind] = seconds.get(kind, 0.0) + operator.seconds
    seconds[OUTSIDE] = max(wall_s - sum(seconds.values()), 0.0)
    rows = sorted(seconds.items(), key=lambda entry: -entry[1])
    body = [[name, f"{spent:.3f}", f"{spent / wall_s:.1%}"] for name, spent in rows]
    return [["kind", "s", "share"], *body, ["wall time", f"{wall_s:.3f}", ""]]


def operator_table(operators: Iterable[Operator], wall_s: float) -> Table:
    dearest = sorted(operators, key=lambda one: -one.seconds)[:NUM_OPERATORS]
    body = [
        [one.name, str(one.calls), f"{one.seconds:.3f}", f"{one.seconds / wall_s:.1%}"]
        for one in dearest
    ]
    return [["operator", "calls", "s", "share"], *body]


def make_job(output: Path, model: str, num_steps: int) -> Job:
    """The training of the benchmark, of ``num_steps`` steps on one thread."""
    folder = output / "profile" / model
    if model == "embedded":
        from selfcog.model.locate import EMBEDDED_FOLDER

        build(output, [])
        path = output / "demo.jsonl"
        number = len(path.read_text(encoding="utf-8").splitlines())
        rows = TrainingRows(path, number, 0)
        job = Job(EMBEDDED_FOLDER, rows, num_steps, DEMO_EXAMPLES, folder)
        return replace(job, rank=DEMO_RANK)
    build(output, [model])
    shape = SHAPES[model]
    rows = training_rows(output, shape.examples)
    return Job(model_folder(output, model), rows, num_steps, shape.examples, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=[*SHAPES, "embedded"])
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=1, help="steps before, at least 1")
    parser.add_argument("--output", type=Path, default=Path("output/bench"))
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:split])
    warmup = max(args.warmup, 1)

    from selfcog.cli import main as selfcog

    job = make_job(args.output.resolve(), args.model, warmup + args.steps)
    setting = Setting(OURS, "profiled", flags=tuple(words[split + 1 :]))
    command = train_command(sys.executable, setting, job)
    profiler = StepProfiler(warmup, args.steps)
    profiler.watch()
    code = selfcog(command[command.index("sft") :])
    if code == 0:
        print(markdown(kind_table(profiler.operators, profiler.wall_s)))
        print()
        print(markdown(operator_table(profiler.operators, profiler.wall_s)))
    return code


if __name__ == "__main__":
    sys.exit(main())
