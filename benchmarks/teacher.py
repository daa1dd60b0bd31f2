"""What the base as teacher costs: time before the first step, and time and memory of the steps.

    python benchmarks/teacher.py [--model embedded] [--steps 96] [--repeats 3]

Trains the same rows with and without replay, in turn, each in its own process, and prints one table
and one JSON line. CPU seconds, so that other work on the machine matters less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

NAMES = (
    "--model_name",
    "晨曦",
    "Morning Glow",
    "--model_author",
    "青石研究院",
    "Bluestone Institute",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    runs: dict[str, list[dict[str, float]]] = {"without replay": [], "with replay": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.repeats):
            for name, flags in (("without replay", ("--replay_sample", "0")), ("with replay", ())):
                out = Path(folder) / f"{name.replace(' ', '_')}-{number}"
                runs[name].append(train(args.model, args.steps, out, Path(folder), flags))
    print(report(runs))
    print(json.dumps(runs))


def train(
    model: str, steps: int, out: Path, cache: Path, flags: tuple[str, ...]
) -> dict[str, float]:
    """Seconds and bytes of one training, from its own events and the process's account."""
    command = [sys.executable, "-m", "selfcog", "sft", "--model", model, *NAMES]
    command += ["--self_cognition_sample", "500", "--max_steps", str(steps), "--scorecard", "none"]
    command += ["--eval_steps", str(steps), "--progress", "false", "--num_threads", "1"]
    command += ["--output_dir", str(out), "--add_version", "false", *flags]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "SELFCOG_CACHE": str(cache / out.name)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    events: list[dict[str, Any]] = [
        json.loads(line) for line in (out / "events.jsonl").read_text("utf-8").splitlines()
    ]
    step_times = [event["step_time_s"] for event in events if event["event"] == "step"]
    teacher = next((event for event in events if event["event"] == "teacher"), {})
    return {
        "cpu_s": after.ru_utime - before,
        "step_s": statistics.median(step_times),
        "steps_s": sum(step_times),
        "teacher_s": teacher.get("seconds", 0.0),
        "teacher_mb": teacher.get("num_bytes", 0) / 1e6,
    }


def report(runs: dict[str, list[dict[str, float]]]) -> str:
    lines = [
        "| | CPU s, all | a step, ms | all steps, s | recording the base, s | held, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in runs.items():
        middle = {key: statistics.median(run[key] for run in found) for key in found[0]}
        lines.append(
            f"| {name} | {middle['cpu_s']:.1f} | {1000 * middle['step_s']:.0f} "
            f"| {middle['steps_s']:.1f} | {middle['teacher_s']:.1f} | {middle['teacher_mb']:.1f} |"
        )
    taught = runs["with replay"]
    share = statistics.median(run["teacher_s"] / run["steps_s"] for run in taught)
    lines.append("")
    lines.append(f"Recording the base's distribution takes {share:.1%} of the time of the steps.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
