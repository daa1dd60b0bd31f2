"""The results of a sweep: a table, sweep.json, sweep.md and pareto.png."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfcog import __version__
from selfcog.evaluate.gates import MOST_KL
from selfcog.evaluate.report import quote
from selfcog.evaluate.stats import PairedRates, Rate
from selfcog.evaluate.wording import NOTHING, difference_text, visible
from selfcog.runs import write_json_atomic, write_text_atomic
from selfcog.sweep.choice import Choice, PointScore
from selfcog.sweep.trial import TrialResult

FORMAT = 1
MOST_LISTED = 24  # of the picture's points; of more, the front and the chosen one
METHOD = (
    "Rates are pooled over the seeds with (passed/n, Wilson 95 % limits); the seeds answer the "
    "same questions, so the true limits are somewhat wider. Capability: tuned − base in percentage "
    "points over locality, exact answers, choice and your own questions. Drift: KL(base ‖ tuned) "
    "in nats a token on the base's own answers, mean over seeds (least to most)."
)
CAUTION = "The point was chosen by these very questions, so its figures flatter it a little."
MORE_QUESTIONS = " selfcog eval --suite full asks it others too."


@dataclass(frozen=True, slots=True)
class SweepReport:
    """Everything that is shown. ``seeds`` are in the order of each point's results.

    ``suite``: the size of the scorecards, quick or full.
    """

    points: Sequence[PointScore]
    front: Sequence[PointScore]
    choice: Choice
    seeds: Sequence[int]
    suite: str

    @property
    def caution(self) -> str:
        return CAUTION + (MORE_QUESTIONS if self.suite == "quick" else "")

    def mark_of(self, point: PointScore) -> str:
        """The point's number, with ``→`` the chosen one, with ``•`` others on the Pareto front."""
        number = self.number_of(point)
        if point is self.choice.point:
            return f"→ {number}"
        return f"• {number}" if any(point is one for one in self.front) else str(number)

    def number_of(self, point: PointScore) -> int:
        return next(place for place, one in enumerate(self.points, 1) if one is point)

    @property
    def failed(self) -> list[TrialResult]:
        return [r for point in self.points for r in point.results if r.status == "failed"]

    @property
    def languages(self) -> list[str]:
        return list(dict.fromkeys(name for point in self.points for name in point.languages))


def show(console: Console, report: SweepReport) -> None:
    """The points, the choice and the failed trials. A list where a table has no room."""
    table = _table(report)
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    if needed <= console.width:
        console.print(table, soft_wrap=False)
    else:
        for point in report.points:
            console.print(_list(report, point), soft_wrap=False)
    console.print(Text("→ chosen   • not beaten in both identity and drift", style="dim"))
    console.print(Text(METHOD, style="dim"), soft_wrap=False)
    console.print()
    style = "bold green" if report.choice.is_fit else "bold red"
    label = "chosen: " if report.choice.is_fit else ""
    console.print(Text(f"{label}{report.choice.reason}", style=style), soft_wrap=False)
    for one in report.failed:
        console.print(Text(f"failed: {one.name}: {visible(one.message)} ({one.log_path})"))


def _table(report: SweepReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    for name in column_names(report):
        table.add_column(name.replace(" ", "\n"))
    for point in report.points:
        cells = [cell.replace(" (", "\n(", 1) for cell in cells_of(report, point)]
        # Words of the name below each other leave room for the numbers.
        cells[1] = cells[1].replace(" ", "\n")
        style = "bold" if point is report.choice.point else ""
        table.add_row(*(Text(visible(cell)) for cell in cells), style=style)
    return table


def _list(report: SweepReport, point: PointScore) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=18, style="dim")
    grid.add_column(overflow="fold")
    mark, name, *cells = cells_of(report, point)
    grid.add_row(mark, Text(name, style="bold"))
    for label, cell in zip(column_names(report)[2:], cells, strict=True):
        grid.add_row(label, Text(visible(cell)))
    grid.add_row()
    return grid


def column_names(report: SweepReport) -> list[str]:
    rates = [f"generalisation {language}" for language in report.languages]
    return ["", "point", "fit", *rates, "leaks", "over-claims", "capability", "drift"]


def cells_of(report: SweepReport, point: PointScore) -> list[str]:
    """One row, as texts."""
    rates = [point.generalisation(language) for language in report.languages]
    return [
        report.mark_of(point),
        point.name,
        point.fits,
        *(str(rate) for rate in (*rates, point.leaks, point.overclaims)),
        difference_text(point.kept),
        drift_text(point),
    ]


def describe(result: TrialResult) -> str:
    """How a trial ended, in one line."""
    if result.status == "failed":
        return f"FAILED: {result.message} ({result.log_path})"
    scores = result.scores
    if scores is None:
        return "done, nothing was asked"
    shares = ", ".join(f"{name} {rate}" for name, rate in scores.generalisation.items())
    drift = "" if scores.kl is None else f"; drift {scores.kl:.4f}"
    return f"{'fit' if scores.fit else 'not fit'}; generalisation {shares}{drift}"


def drift_text(point: PointScore) -> str:
    """``0.0312 (0.0300–0.0324)``; without the range where there is one seed."""
    if point.drift is None:
        return NOTHING
    text = f"{point.drift:.4f}"
    if len(point.drifts) > 1:
        text += f" ({min(point.drifts):.4f}–{max(point.drifts):.4f})"
    return text


def write(report: SweepReport, folder: Path, chosen_config: str) -> list[str]:
    """Write all files; returns notices about what could not be written."""
    write_json_atomic(folder / "sweep.json", to_json(report, folder))
    write_text_atomic(folder / "config.yaml", chosen_config)
    notices = []
    has_picture = False
    if importlib.util.find_spec("matplotlib") is None:
        notices.append("no pareto.png: pip install 'selfcog[plots]'")
    elif any(point.drift is not None for point in report.points):
        draw_pareto(report, folder / "pareto.png")
        has_picture = True
    write_text_atomic(folder / "sweep.md", to_markdown(report, has_picture=has_picture))
    return notices


def to_json(report: SweepReport, folder: Path) -> dict[str, Any]:
    """Paths are relative to ``folder``."""
    best = report.choice.point.best_trial
    return {
        "format": FORMAT,
        "selfcog": __version__,
        "seeds": list(report.seeds),
        "choice": {
            "point": dict(report.choice.point.values),
            "is_fit": report.choice.is_fit,
            "reason": report.choice.reason,
            "trial": _relative(Path(best.folder), folder),
            "checkpoint": _relative(best.checkpoint_path, folder),
        },
        "points": [_point_json(report, point, folder) for point in report.points],
    }


def _point_json(report: SweepReport, point: PointScore, folder: Path) -> dict[str, Any]:
    return {
        "values": dict(point.values),
        "num_seeds": len(point.results),
        "num_measured": len(point.scores),
        "num_fit": point.num_fit,
        "is_chosen": point is report.choice.point,
        "is_on_front": any(point is one for one in report.front),
        "identity": _spread(point.identity, point.identities),
        "drift": _spread(point.drift, point.drifts),
        "generalisation": {
            language: _rate_json(point.generalisation(language)) for language in point.languages
        },
        "leaks": _rate_json(point.leaks),
        "overclaims": _rate_json(point.overclaims),
        "capability": _pair_json(point.kept),
        "trials": [
            {"seed": seed, **one.to_json(), "folder": _relative(Path(one.folder), folder)}
            for seed, one in zip(report.seeds, point.results, strict=True)
        ],
    }


def _spread(mean: float | None, values: Sequence[float]) -> Mapping[str, float] | None:
    if mean is None:
        return None
    return {"mean": mean, "least": min(values), "most": max(values)}


def _rate_json(rate: Rate) -> dict[str, float | None]:
    limits = rate.interval()
    return {
        "num_passed": rate.num_passed,
        "n": rate.n,
        "share": rate.share if rate.n else None,
        "low": limits.low,
        "high": limits.high,
    }


def _pair_json(pair: PairedRates | None) -> dict[str, float] | None:
    if pair is None or not pair.n:
        return None
    limits = pair.interval()
    return {"difference": pair.difference, "low": limits.low, "high": limits.high, "n": pair.n}


def _relative(path: Path | None, folder: Path) -> str | None:
    return None if path is None else path.relative_to(folder).as_posix()


def to_markdown(report: SweepReport, *, has_picture: bool = False) -> str:
    head = column_names(report)
    rows = [head, ["---"] * len(head)]
    rows += [[quote(cell) for cell in cells_of(report, point)] for point in report.points]
    best = report.choice.point.best_trial
    lines = [
        "# Sweep",
        "",
        f"**{quote(report.choice.reason)}**",
        "",
        f"Best seed: {quote(best.name)}. Its card: "
        f"{quote(best.scores.headline if best.scores else '')}.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in rows),
        "",
        "→ chosen, • not beaten in both identity and drift.",
        METHOD,
        "",
        report.caution,
        "",
    ]
    if has_picture:
        lines += ["![identity against drift](pareto.png)", ""]
    if report.failed:
        lines += ["## Failed trials", ""]
        lines += [f"- {quote(one.name)}: {quote(one.message)}" for one in report.failed] + [""]
    return "\n".join(lines)


def draw_pareto(report: SweepReport, path: Path) -> None:
    """Identity against drift: a numbered dot a point, a small one a seed; the front as a line."""
    # Without pyplot: no global state, and it works in any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shown = [one for one in report.points if one.drift is not None and one.identity is not None]
    front = sorted(
        (one for one in shown if any(one is other for other in report.front)),
        key=lambda one: one.drift or 0.0,
    )
    for scores in (one for point in shown for one in point.scores):
        if scores.kl is not None:
            axes.scatter(scores.kl, 100 * scores.identity, s=10, color="#bbbbbb")
    axes.plot(*_coordinates(front), color="#1f77b4", label="not beaten (Pareto front)", zorder=2)
    axes.scatter(*_coordinates(shown), s=40, color="#1f77b4", zorder=3)
    chosen = report.choice.point
    axes.scatter(
        *_coordinates([one for one in shown if one is chosen]),
        s=180,
        facecolors="none",
        edgecolors="#2ca02c" if report.choice.is_fit else "#d62728",
        linewidths=2,
        label="chosen" if report.choice.is_fit else "chosen, not fit",
        zorder=4,
    )
    if 2 * max((one.drift or 0.0 for one in shown), default=0.0) > MOST_KL:
        axes.axvline(MOST_KL, color="#999999", linestyle="--", label="the gate of drift")
    for point in shown:
        place = (point.drift or 0.0, 100 * (point.identity or 0.0))
        number = report.number_of(point)
        axes.annotate(str(number), place, xytext=(6, -12), textcoords="offset points", fontsize=8)
        if len(shown) <= MOST_LISTED or point is chosen or any(point is one for one in front):
            axes.plot([], [], " ", label=f"{number}: {point.name}")
    axes.set(
        title="What is learnt, and what it moves",
        xlabel="drift from the base (KL in nats a token; less is better)",
        ylabel="identity: right answers to wordings that were not trained (%)",
    )
    axes.margins(0.1)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    figure.savefig(path)


def _coordinates(points: Sequence[PointScore]) -> tuple[list[float], list[float]]:
    return [one.drift or 0.0 for one in points], [100 * (one.identity or 0.0) for one in points]
