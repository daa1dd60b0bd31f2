"""``selfcog sweep``: a grid of settings → a training each → their scorecards → one that is taken.

Every trial is ``selfcog sft`` in a process of its own. The same command again trains what is not
done yet. All that ``sft`` would refuse is refused before the first process starts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfcog.commands import scoring, sft
from selfcog.config.load import Parsed, dump_yaml
from selfcog.config.schema import SftConfig, SweepConfig
from selfcog.console import make_console, print_notes
from selfcog.errors import ConfigError, Interrupted
from selfcog.sweep import (
    Backend,
    LocalPool,
    RayCluster,
    TrialResult,
    ended_by_signals,
    run_trials,
)
from selfcog.sweep.choice import PointScore, choose, pareto_front
from selfcog.sweep.grid import GridPoint, claim_folder, make_grid, sft_part
from selfcog.sweep.report import SweepReport, describe, show, write
from selfcog.sweep.runner import count_done

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class SweepResult:
    """All points with their choice, and where it lies. ``checkpoint``: that of the chosen seed."""

    report: SweepReport
    folder: Path
    checkpoint: Path | None


def run(config: SweepConfig, notices: Sequence[str] = ()) -> SweepResult:
    """Train, compare, show and write. Raises SelfcogError."""
    print_notes(notices, stderr=False)
    base = sft_part(config)
    points = make_grid(base, config.sweep)
    for point in points:
        check_trial(point.trials[0].config)
    folder = Path(config.sweep.sweep_dir).expanduser().resolve()
    claim_folder(folder, config)
    trials = [trial for point in points for trial in point.trials]
    backend = make_backend(config)
    console = make_console()
    num_done = count_done(trials, folder / "trials")
    console.print(
        f"trials: {len(trials)} (points × seeds: {len(points)} × {len(points[0].trials)}), done "
        f"already: {num_done}; {backend.about}",
        markup=False,
    )
    view = ProgressView(console, num_done)
    try:
        with ended_by_signals():
            results = run_trials(trials, backend, folder / "trials", on_result=view)
    except (KeyboardInterrupt, Interrupted):
        console.print("stopped; the same command goes on with the trials that are left")
        raise
    report = make_report(points, results, base.score.scorecard)
    taken = report.choice.point.best_trial
    chosen = trials[results.index(taken)].config
    missing = write(report, folder, dump_yaml(chosen))
    show(console, report)
    for notice in missing:
        console.print(f"note: {notice}", markup=False)
    show_paths(console, folder, report)
    return SweepResult(report, folder, taken.checkpoint_path)


def check_trial(config: SftConfig) -> None:
    """Raises SelfcogError for what a trial would be refused for, and for what nobody could rank."""
    if os.environ.get("NPROC_PER_NODE", "1") != "1" or os.environ.get("NNODES", "1") != "1":
        raise ConfigError(
            "selfcog sweep trains every trial in one process; unset NPROC_PER_NODE and NNODES"
        )
    if config.output.resume_from_checkpoint is not None:
        raise ConfigError("--resume_from_checkpoint goes on with one run and cannot be swept over")
    if not scoring.asks_questions(config):
        raise ConfigError(
            "a sweep compares scorecards, which needs --self_cognition_sample, --model_name, "
            "--model_author and a --scorecard other than none"
        )
    sft.check_paths(config)


def make_backend(config: SweepConfig) -> Backend:
    sweep = config.sweep
    if sweep.ray_address is not None:
        return RayCluster(sweep.ray_address, sweep.num_workers)
    return LocalPool.plan(sweep.num_workers)


class ProgressView:
    """One line a trial as it ends, with an estimate of the time that is left."""

    def __init__(self, console: Console, num_before: int) -> None:
        self.console = console
        self.num_before = num_before
        self.began = time.monotonic()

    def __call__(self, result: TrialResult, num_done: int, num_trials: int) -> None:
        spent = time.monotonic() - self.began
        left_min = spent / (num_done - self.num_before) * (num_trials - num_done) / 60
        self.console.print(
            f"{num_done}/{num_trials}  {result.name}: {describe(result)}; {result.seconds:.0f} s"
            + (f"; about {left_min:.0f} min left" if num_done < num_trials else ""),
            markup=False,
        )


def make_report(
    points: Sequence[GridPoint], results: Sequence[TrialResult], suite: str
) -> SweepReport:
    """``results`` are in the order of the points' trials."""
    left = iter(results)
    scored = [PointScore(one.values, tuple(next(left) for _ in one.trials)) for one in points]
    seeds = [trial.config.train.seed for trial in points[0].trials]
    return SweepReport(scored, pareto_front(scored), choose(scored), seeds, suite)


def show_paths(console: Console, folder: Path, report: SweepReport) -> None:
    lines = [
        f"results:    {folder / 'sweep.md'}",
        f"settings:   {folder / 'config.yaml'}",
        f"checkpoint: {report.choice.point.best_trial.checkpoint_path}",
        report.caution,
    ]
    console.print("\n".join(lines), markup=False)


def main(parsed: Parsed[SweepConfig]) -> int:
    result = run(parsed.config, parsed.notices)
    return 1 if result.report.failed else 0
