"""What is measured: each part runs its contestants in turn and returns their readings."""

from __future__ import annotations

import mmap
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.commands import Command, merge_commands, quick_commands, token_commands
from benchmarks.contestants import (
    DEMO_SETTINGS,
    DRIVERS,
    OURS,
    SETTINGS,
    Installed,
    Job,
    Setting,
    environment,
    train_command,
)
from benchmarks.generation import EMBEDDED, run_generation
from benchmarks.measure import (
    Reading,
    command_reading,
    read_probe,
    run,
    start_reading,
    training_reading,
)
from benchmarks.models import (
    LORA_RANK,
    SHAPES,
    TrainingRows,
    adapter_folder,
    model_folder,
    training_rows,
)
from benchmarks.series import Series, Task, interleave

PARTS = ("train", "start", "quick", "merge", "token", "generate", "demo")
FLOOR = "import and load"
DEMO_STEPS = 31  # of 16 examples: the demo's 500 rows once
DEMO_EXAMPLES, DEMO_RANK = 16, 16


@dataclass(frozen=True, slots=True)
class Bench:
    """Where things lie and how much is run. ``steps`` None: a number that suits the model."""

    output: Path
    installed: Installed
    repeats: int = 3
    steps: int | None = None
    say: Callable[[str], None] = print

    def run_part(self, part: str, models: Sequence[str]) -> list[Series]:
        """The readings of one part. ``models`` from small to large; one model is enough for
        starts (the smallest) and for merging and the first token (the largest); answers are
        written by the largest and the embedded one."""
        if part == "train":
            return [one for model in models for one in self.train(model)]
        if part == "start":
            return self.start(models[0])
        if part == "quick":
            return self.quick(models[0])
        if part == "merge":
            return self.merge(models[-1])
        if part == "token":
            return self.token(models[-1])
        if part == "generate":
            return self.generate((models[-1], EMBEDDED))
        return self.demo()

    def train(self, model: str) -> list[Series]:
        """Throughput and memory of the training loop, one thread."""
        shape = SHAPES[model]
        steps = self.steps or shape.steps
        rows = training_rows(self.output, steps * shape.examples)
        job = Job(model_folder(self.output, model), rows, steps, shape.examples, Path())
        tasks = [
            self._training("train", model, setting, job)
            for setting in self.installed.of(SETTINGS)
            if shape.examples % setting.batch == 0
        ]
        return interleave(tasks, self.repeats, "tokens_per_cpu_s", self.say)

    def start(self, model: str) -> list[Series]:
        """CPU seconds until the first step begins, beside those of the imports alone."""
        shape = SHAPES[model]
        rows = training_rows(self.output, shape.examples)
        job = Job(
            model_folder(self.output, model),
            rows,
            1,
            shape.examples,
            Path(),
            stop_at_first_step=True,
        )
        first = {setting.peer: setting for setting in reversed(self.installed.of(SETTINGS))}
        tasks = [self._training("start", model, first[name], job) for name in reversed(first)]
        tasks.insert(1, self._floor(model))
        return interleave(tasks, self.repeats, None, self.say)

    def quick(self, model: str) -> list[Series]:
        """Help and errors: what needs no model should not wait for one."""
        folder = self._folder("quick")
        commands = quick_commands(
            model_folder(self.output, model), self.output / "broken.jsonl", folder
        )
        return interleave(self._commands("quick", model, commands), self.repeats, None, self.say)

    def merge(self, model: str) -> list[Series]:
        """Merging an adapter, and whether the result is peft's bit for bit."""
        folder = self._folder("merge", model)
        base, adapter = model_folder(self.output, model), adapter_folder(self.output, model)
        commands = merge_commands(base, adapter, folder)
        found = interleave(self._commands("merge", model, commands), self.repeats, None, self.say)
        ours, theirs = (one.made for one in commands[:2])
        if ours and theirs and ours.is_dir() and theirs.is_dir():
            number, differing = compare_models(ours, theirs)
            values = {"tensors": float(number), "differing": float(len(differing))}
            found.append(Series("merge", model, OURS, "against peft's result", [Reading(values)]))
        for command in commands:
            if command.made is not None:
                shutil.rmtree(command.made, ignore_errors=True)
        return found

    def token(self, model: str) -> list[Series]:
        """From the start of a process to the first token of base and adapter."""
        base, adapter = model_folder(self.output, model), adapter_folder(self.output, model)
        question = self.output / "question.jsonl"
        commands = token_commands(base, adapter, question, self._folder("token", model))
        return interleave(self._commands("token", model, commands), self.repeats, None, self.say)

    def generate(self, models: Sequence[str]) -> list[Series]:
        """New tokens a CPU second, beside transformers' generate."""
        python = self.installed.pythons[OURS]
        run_one = [
            run_generation(self.output, model, self.repeats, self.say, python) for model in models
        ]
        return [series for found in run_one for series in found]

    def demo(self) -> list[Series]:
        """The training part of ``selfcog demo``: wall time, as many threads as torch takes."""
        from selfcog.model.locate import EMBEDDED_FOLDER

        path = self.output / "demo.jsonl"
        number = len(path.read_text(encoding="utf-8").splitlines())
        steps = min(self.steps or DEMO_STEPS, number // DEMO_EXAMPLES)
        job = Job(
            EMBEDDED_FOLDER,
            TrainingRows(path, number, 0),
            steps,
            DEMO_EXAMPLES,
            Path(),
            rank=DEMO_RANK,
            threads=None,
        )
        tasks = [
            self._training("demo", "embedded", setting, job)
            for setting in self.installed.of(DEMO_SETTINGS)
        ]
        return interleave(tasks, self.repeats, "steps_per_s", self.say)

    def _training(self, part: str, model: str, setting: Setting, job: Job) -> Task:
        series = Series(part, model, setting.peer, setting.name)
        num_tokens = job.rows.num_tokens or None

        def once(number: int) -> Reading:
            folder = self._folder(part, model, setting.peer, f"{setting.name}-{number}")
            shutil.rmtree(folder, ignore_errors=True)
            own = replace(job, folder=folder)
            command = train_command(self.installed.pythons[setting.peer], setting, own)
            outcome = run(
                command,
                folder / "log.txt",
                environment(setting.peer, job.threads, self.output / "cache"),
            )
            found = read_probe(own.probe_result)
            if job.stop_at_first_step:
                return start_reading(outcome, found)
            return training_reading(outcome, found, job.steps, num_tokens)

        after = replace(setting, name=setting.after).label if setting.after else ""
        return Task(series, once, setting.keep, after)

    def _floor(self, model: str) -> Task:
        words = (str(DRIVERS / "floor.py"), "--model", str(model_folder(self.output, model)))
        command = Command("hf", FLOOR, (*words, "--rank", str(LORA_RANK)))
        series = Series("start", model, FLOOR, "")

        def once(number: int) -> Reading:
            reading = self._run_command(command, self._folder("start", model) / f"floor-{number}")
            values = dict(reading.values)
            if values:
                values["first_step_cpu_s"] = values.pop("cpu_s")
            return replace(reading, values=values)

        return Task(series, once)

    def _commands(self, part: str, model: str, commands: Sequence[Command]) -> list[Task]:
        """Tasks for those of the commands whose tool is there."""

        def task(command: Command) -> Task:
            def once(number: int) -> Reading:
                if command.made is not None:
                    shutil.rmtree(command.made, ignore_errors=True)
                name = f"{command.peer}-{command.name}-{number}"
                return self._run_command(command, self._folder(part, model) / name)

            return Task(Series(part, model, command.peer, command.name), once)

        return [task(one) for one in commands if one.peer in self.installed.pythons]

    def _run_command(self, command: Command, log: Path) -> Reading:
        outcome = run(
            [self.installed.pythons[command.peer], *command.words],
            log.with_name(f"{log.name.replace(' ', '_')}.txt"),
            environment(command.peer, 1, self.output / "cache"),
            stdin=command.stdin,
        )
        return command_reading(outcome, fails=command.fails)

    def _folder(self, *names: str) -> Path:
        path = self.output.joinpath("runs", *(name.replace(" ", "_") for name in names))
        path.mkdir(parents=True, exist_ok=True)
        return path


def compare_models(ours: Path, theirs: Path) -> tuple[int, list[str]]:
    """(number of tensors, names of those that are not the same bytes or only on one side)."""
    from selfcog.export.shards import StoredTensor, read_tensors

    one, other = read_tensors(ours), read_tensors(theirs)

    def content(tensor: StoredTensor) -> bytes:
        with (
            tensor.path.open("rb") as handle,
            mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view,
        ):
            return view[tensor.start : tensor.start + tensor.num_bytes]

    differing = sorted(one.keys() ^ other.keys())
    for name in sorted(one.keys() & other.keys()):
        same_kind = (one[name].dtype, one[name].shape) == (other[name].dtype, other[name].shape)
        if not same_kind or content(one[name]) != content(other[name]):
            differing.append(name)
    return len(one.keys() | other.keys()), differing
