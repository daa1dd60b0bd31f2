"""Spreads, ratios, turns and bars of the benchmark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import read_earlier
from benchmarks.bars import check_bars
from benchmarks.contestants import OURS
from benchmarks.measure import Reading
from benchmarks.parts import FLOOR
from benchmarks.series import Series, Spread, Task, best, interleave, ratio


def make(peer: str, setting: str, name: str, *values: float, part: str = "train") -> Series:
    return Series(part, "S", peer, setting, [Reading({name: value}) for value in values])


def test_a_spread_shows_one_number_where_there_is_one() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(1.0, 2.0, 3.0, 3)
    assert Spread(1.0, 2.0, 3.0, 3).text(1) == "1.0 / 2.0 / 3.0"
    assert Spread(2.0, 2.0, 2.0, 1).text(0) == "2"
    assert Spread.of([]) is None


def test_ratios_are_of_pairs_from_the_same_round() -> None:
    ours, theirs = make(OURS, "a", "x", 4.0, 9.0, 2.0), make("hf", "b", "x", 2.0, 3.0, 2.0)
    assert ratio(ours, theirs, "x") == Spread(1.0, 2.0, 3.0, 3)
    # A round that failed is no pair, and shifts none of the others.
    theirs.readings[1] = Reading(status="failed")
    assert ratio(ours, theirs, "x") == Spread(1.0, 1.5, 2.0, 2)
    assert ratio(ours, theirs, "y") is None


def test_best_is_by_median() -> None:
    low, high = make("hf", "a", "x", 1.0, 1.0, 9.0), make("hf", "b", "x", 2.0, 2.0, 2.0)
    assert best([low, high], "x") is high
    assert best([low, high], "x", lowest=True) is low
    assert best([low], "y") is None


def fake_tasks(order: list[str], results: dict[str, Reading]) -> list[Task]:
    """A task for every "peer:setting", which notes in ``order`` that it ran."""

    def task(name: str, reading: Reading) -> Task:
        peer, _, setting = name.partition(":")

        def once(number: int) -> Reading:
            order.append(name)
            return reading

        return Task(Series("train", "S", peer, setting), once)

    return [task(name, reading) for name, reading in results.items()]


def test_contestants_take_turns() -> None:
    order: list[str] = []
    tasks = fake_tasks(order, {f"{OURS}:a": Reading({"x": 1}), "hf:b": Reading({"x": 2})})
    interleave(tasks, 3, None, lambda line: None)
    assert order == [f"{OURS}:a", "hf:b"] * 3


def test_after_the_first_round_only_the_best_and_the_kept_go_on() -> None:
    order: list[str] = []
    results = {
        f"{OURS}:a": Reading({"x": 9}),
        f"{OURS}:b": Reading({"x": 8}),
        "hf:slow": Reading({"x": 1}),
        "hf:fast": Reading({"x": 2}),
        "swift:default": Reading({"x": 1}),
        "trl:broken": Reading(status="failed", message="why"),
    }
    tasks = fake_tasks(order, results)
    tasks[4].keep = tasks[5].keep = True
    found = interleave(tasks, 2, "x", lambda line: None)
    assert order[6:] == [f"{OURS}:a", "hf:fast", "swift:default"]
    assert [len(one.readings) for one in found] == [2, 1, 1, 2, 2, 1]
    assert found[5].trouble == Reading(status="failed", message="why")


def test_a_larger_batch_is_not_tried_where_a_smaller_one_found_no_room() -> None:
    order: list[str] = []
    results = {"hf:4": Reading(status="out of memory"), "hf:8": Reading({"x": 1})}
    tasks = fake_tasks(order, results)
    tasks[1].after = tasks[0].series.label
    found = interleave(tasks, 1, None, lambda line: None)
    assert order == ["hf:4"]
    assert found[1].readings[0].status == "not run"


def test_bars_are_of_medians_and_say_what_is_missing() -> None:
    series = [
        make(OURS, "default", "tokens_per_cpu_s", 500, 520, 700),
        make("hf", "batch 1", "tokens_per_cpu_s", 200, 200, 200),
        make("hf", "batch 4", "tokens_per_cpu_s", 90),
    ]
    for reading in series[0].readings:
        reading.values["peak_rss_gb"] = 1.7
    over_best, over_swift, memory = check_bars(series)
    assert over_best.is_met and over_best.found == "2.50 / 2.60 / 3.50 ×"
    assert "batch 1" in over_best.what
    assert over_swift.is_met is None and over_swift.found == "not measured"
    assert memory.is_met is False


@pytest.mark.parametrize(("lookups", "is_met"), [(0.0, True), (1.0, False)])
def test_a_start_is_compared_with_the_imports_and_must_stay_offline(
    lookups: float, is_met: bool
) -> None:
    name = "first_step_cpu_s"
    ours = make(OURS, "default", name, 4.5, 4.6, part="start")
    for reading in ours.readings:
        reading.values["lookups"] = lookups
    [bar] = check_bars([ours, make(FLOOR, "", name, 4.0, 4.0, part="start")])
    assert bar.is_met is is_met
    assert bar.found.startswith("+0.50 / 0.55 / 0.60 CPU s")


def test_a_merge_must_be_cheap_small_and_exact() -> None:
    ours = make(OURS, "merge", "cpu_s", 2.9, part="merge")
    ours.readings[0].values["peak_anon_gb"] = 0.4
    exact = Series("merge", "S", OURS, "against peft's result")
    exact.readings.append(Reading({"tensors": 290.0, "differing": 1.0}))
    theirs = [make("hf", "merge", "cpu_s", 9.0, part="merge")]
    theirs.append(make("swift", "merge", "cpu_s", 13.0, part="merge"))
    cheap, small, same = check_bars([ours, *theirs, exact])
    assert cheap.is_met and "HF Trainer + peft" in cheap.what
    assert small.is_met
    assert same.is_met is False and same.found == "1 of 290 tensors differ"


def test_generation_is_compared_with_the_best_batch_of_transformers() -> None:
    name = "tokens_per_cpu_s"
    series = [
        make(OURS, "batch 64", name, 60, 62, 64, part="generate"),
        make(OURS, "batch 8", name, 40, part="generate"),
        make("transformers generate", "batch 8", name, 31, 31, 32, part="generate"),
        make("transformers generate", "batch 64", name, 20, part="generate"),
    ]
    for one in series:
        one.model = "M, bfloat16"
    [bar] = check_bars(series)
    assert bar.is_met and bar.found == "1.94 / 2.00 / 2.00 ×"
    assert "transformers generate, batch 8" in bar.what
    assert check_bars([replace(one, model="T, bfloat16") for one in series]) == []


def test_earlier_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    readings = [Reading({"cpu_s": 1.0}), Reading({"cpu_s": 3.0})]
    whole = Series("merge", "M", "hf", "merge", readings)
    broken = Series("token", "M", "trl", "x", [Reading(status="failed", message="exit code 1: no")])
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"series": [whole.to_json(), broken.to_json()]}))
    found = read_earlier([path], set())
    assert [one.to_json() for one in found] == [whole.to_json(), broken.to_json()]
    assert [one.part for one in read_earlier([path], {("merge", "M")})] == ["token"]
