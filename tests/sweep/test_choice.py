"""Seeds → points, the Pareto front and the choice, on made-up results."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from made_up import N, card, failed, point, result
from rich.console import Console

from selfcog.errors import TrainError
from selfcog.evaluate.stats import Rate, wilson_interval
from selfcog.sweep.choice import PointScore, choose, pareto_front
from selfcog.sweep.report import SweepReport, cells_of, show, to_json, to_markdown, write
from selfcog.sweep.scores import Scores


def test_scores_are_those_of_the_card() -> None:
    scores = Scores.of(card(40, 0.03, fit=False))
    assert scores.generalisation == {"zh": Rate(40, N), "en": Rate(40, N)}
    assert scores.identity == 0.8
    assert scores.kl == 0.03, "the drift on the user's own rows is not the measure"
    assert scores.kept is not None
    assert (scores.kept.n, scores.kept.difference) == (76, -2 / 76)
    assert (scores.leaks, scores.overclaims, scores.fit) == (Rate(1, 100), Rate(0, 28), False)
    assert Scores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_seeds_are_pooled_and_averaged() -> None:
    one = point(60, result(50, 0.01), result(40, 0.03, fit=False), failed())
    assert (one.num_fit, one.fits) == (1, "1/3")
    assert one.generalisation("zh") == Rate(90, 100)
    assert one.generalisation("zh").interval() == wilson_interval(90, 100)
    assert one.leaks == Rate(2, 200)
    assert one.kept is not None
    assert one.kept.n == 152
    assert one.identity == pytest.approx(0.9)
    assert one.drift == pytest.approx(0.02)
    assert one.best_trial is one.results[0]


def test_no_measure_is_no_number() -> None:
    lost = point(60, failed())
    assert (lost.identity, lost.drift, lost.kept) == (None, None, None)
    assert pareto_front([lost]) == []


def test_most_fit_seeds_win_then_least_drift() -> None:
    points = [
        point(1, result(50, 0.001), result(fit=False)),
        point(2, result(46, 0.04), result(46, 0.04)),
        point(3, result(45, 0.02), result(45, 0.03)),
        point(4, failed(), failed()),
    ]
    choice = choose(points)
    assert choice.point is points[2]
    assert choice.is_fit
    assert "max_steps=3 is fit in 2/2 seeds, the least drift of 2 such points" in choice.reason


def test_the_better_identity_decides_between_equals() -> None:
    points = [point(1, result(44)), point(2, result(46)), point(3, result(46))]
    assert choose(points).point is points[1]


def test_without_a_fit_point_it_says_so() -> None:
    points = [
        point(1, result(20, 0.00, fit=False)),
        point(2, result(45, 0.06, fit=False)),
        point(3, result(46, 0.30, fit=False)),
    ]
    choice = choose(points)
    assert choice.point is points[1]
    assert not choice.is_fit
    assert choice.reason.startswith("no point is fit; ")


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(TrainError, match=r"2 failed; the first: exit code 1: out of memory \(see"):
        choose([point(1, failed()), point(2, failed())])


def test_the_front_holds_what_nothing_beats() -> None:
    best, firm, both, beaten, twin = (
        point(1, result(50, 0.10)),
        point(2, result(30, 0.01)),
        point(3, result(45, 0.05)),
        point(4, result(44, 0.05)),
        point(5, result(45, 0.05)),
    )
    assert pareto_front([beaten, best, firm, both, twin]) == [best, firm, both, twin]


def report_of(folder: Path, points: list[PointScore]) -> SweepReport:
    return SweepReport(points, pareto_front(points), choose(points), [1, 2], "quick")


@pytest.fixture
def report(tmp_path: Path) -> SweepReport:
    def at(name: str) -> str:
        return str(tmp_path / "trials" / name)

    points = [
        point(60, result(45, 0.02, folder=at("a")), result(46, 0.03, folder=at("b"))),
        point(120, result(50, 0.08, fit=False, folder=at("c")), failed(folder=at("d"))),
        point(240, result(40, 0.09, fit=False, folder=at("e")), failed(folder=at("f"))),
    ]
    return report_of(tmp_path, points)


def test_files_of_a_sweep(tmp_path: Path, report: SweepReport) -> None:
    assert write(report, tmp_path, "model: x\n") == []
    data = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert data == to_json(report, tmp_path)
    assert data["choice"]["point"] == {"max_steps": 60}
    assert data["choice"]["checkpoint"] == "trials/a/run/checkpoint-7"
    first, second, third = data["points"]
    assert first["generalisation"]["zh"]["num_passed"] == 91
    assert first["drift"] == {"mean": 0.025, "least": 0.02, "most": 0.03}
    assert [one["is_on_front"] for one in data["points"]] == [True, True, False]
    assert (second["num_measured"], second["num_seeds"]) == (1, 2)
    assert third["trials"][1]["message"] == "exit code 1: out of memory"
    assert third["trials"][1]["seed"] == 2
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == "model: x\n"
    assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")


def test_markdown_says_what_was_taken_and_why(report: SweepReport) -> None:
    text = to_markdown(report, has_picture=True)
    assert "max\\_steps=60 is fit in 2/2 seeds, alone" in text
    assert "| → 1 | max\\_steps=60 | 2/2 | 91.0 % (91/100, 83.8–95.2) |" in text
    assert "| • 2 | max\\_steps=120 | 0/2 |" in text
    assert "pareto.png" in text
    assert "exit code 1: out of memory" in text
    assert "chosen by these very questions" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_shows_every_number_whole(report: SweepReport, width: int) -> None:
    stream = io.StringIO()
    show(Console(file=stream, width=width, soft_wrap=True), report)
    text = stream.getvalue()
    assert "…" not in text
    for row in report.points:
        for part in " ".join(cells_of(report, row)).split():
            assert part in text
    assert "failed: lost: exit code 1: out of memory" in text
