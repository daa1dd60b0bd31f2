"""``python -m experiments.claims E2``: train and score the runs of an experiment, write its page.

Runs that are done are not done again; ``--seeds`` and ``--model`` make other ones. Everything is
left in ``--output``; the table, the figure and the numbers go to experiments/claims/results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.claims.arms import Arm, Experiment, Pair, experiments, make_settings, missing_files
from experiments.claims.domain import write_domain
from experiments.claims.report import ArmResult, ask_domain, write_report
from selfcog.sweep.local import LocalPool
from selfcog.sweep.runner import ended_by_signals, run_trials
from selfcog.sweep.trial import Trial, TrialResult

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    args = read_arguments()
    output = Path(args.output).resolve()
    domain = write_domain(output / "domain")
    chosen = experiments(Path(args.data).resolve(), domain)
    for name in args.experiments:
        experiment = chosen[name]
        seeds = tuple(args.seeds) if args.seeds else experiment.seeds
        left_out = missing_files(experiment.arms)
        for arm, reason in left_out.items():
            print(f"{name}: {arm!r} is left out: {reason}; --data says where", flush=True)
        runner = Runner(args.model, seeds, LocalPool.plan(args.num_workers), output / "runs")
        with ended_by_signals():
            results = runner.run(
                experiment, [arm for arm in experiment.arms if arm.name not in left_out]
            )
        before = [
            ArmResult(f"{stage.name} (before the identity)", (), ask_domain(found, domain, output))
            for stage, found in runner.stages
        ]
        paths = write_report(experiment, [*before, *results], args.model, seeds, RESULTS)
        print("\n".join(str(path) for path in paths), flush=True)
    return 0


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.claims", description=__doc__)
    parser.add_argument("experiments", nargs="+", choices=[f"E{number}" for number in range(1, 7)])
    parser.add_argument("--model", default="embedded", help="a folder or a hub id")
    parser.add_argument("--seeds", type=int, nargs="+", help="not given: the experiment's own")
    parser.add_argument("--num_workers", type=int, help="runs at once")
    parser.add_argument("--data", default="../shared/data", help="other tools' rows, see README.md")
    parser.add_argument("--output", default="output/claims", help="runs, logs, scorecards")
    return parser.parse_args()


class Runner:
    """Runs the arms of one experiment; ``stages`` are the first trainings with their results."""

    def __init__(self, model: str, seeds: Sequence[int], pool: LocalPool, folder: Path) -> None:
        self.model, self.seeds, self.pool, self.folder = model, seeds, pool, folder
        self.stages: list[tuple[Arm, list[TrialResult]]] = []

    def run(self, experiment: Experiment, arms: Sequence[Arm]) -> list[ArmResult]:
        pair = experiment.pairs[0]
        starts: dict[tuple[str, int], str] = {}
        for stage in experiment.stages:
            found = self._train([(stage, pair, seed, None) for seed in self.seeds])
            self.stages.append((stage, found))
            for seed, result in zip(self.seeds, found, strict=True):
                if result.checkpoint_path is None:
                    raise SystemExit(f"{stage.name}, seed {seed}: {result.message}")
                starts[stage.name, seed] = str(result.checkpoint_path)
        cells = [
            (arm, pair, seed, starts.get((arm.stage or "", seed)))
            for seed in self.seeds
            for pair in experiment.pairs
            for arm in arms
        ]
        results = self._train(cells)
        return [
            ArmResult(
                arm.name,
                tuple(one for cell, one in zip(cells, results, strict=True) if cell[0] is arm),
            )
            for arm in arms
        ]

    def _train(self, cells: Sequence[tuple[Arm, Pair, int, str | None]]) -> list[TrialResult]:
        # Named by name and seed alone: experiments share the runs that have the same settings.
        trials = [
            Trial(f"{pair.name[1]}-{seed}", make_settings(arm, pair, seed, self.model, start))
            for arm, pair, seed, start in cells
        ]
        labels = [
            f"{arm.name} · {trial.name}" for (arm, *_), trial in zip(cells, trials, strict=True)
        ]
        by_folder = {trial.folder_name: label for trial, label in zip(trials, labels, strict=True)}

        def tell(result: TrialResult, done: int, total: int) -> None:
            label = by_folder.get(Path(result.folder).name, result.name)
            print(f"{done}/{total} {label}: {result.status} {result.message}", flush=True)

        return run_trials(trials, self.pool, self.folder, on_result=tell)


if __name__ == "__main__":
    sys.exit(main())
