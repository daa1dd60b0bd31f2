"""The prompts of the generation benchmark, and what its readings say."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, median

from benchmarks.contestants import OURS
from benchmarks.generation import (
    BATCHES,
    DTYPES,
    LONGEST,
    NUM_PROMPTS,
    OUR_BATCHES,
    PLAIN,
    SHORTEST,
    build_prompts,
    generation_tasks,
    mixed_lengths,
    result_of,
    series_name,
    with_same,
)
from benchmarks.measure import Reading
from benchmarks.series import Series


def test_prompts_are_of_mixed_length(tmp_path: Path) -> None:
    lengths = mixed_lengths(NUM_PROMPTS)
    assert (min(lengths), max(lengths), len(lengths)) == (SHORTEST, LONGEST, NUM_PROMPTS)
    assert median(lengths) < 0.7 * mean(lengths)
    task = json.loads(build_prompts(tmp_path, "M").read_text("utf-8"))
    assert [len(prompt) for prompt in task["prompts"]] == lengths
    assert not {task["pad"], *task["stop"]} & {id for prompt in task["prompts"] for id in prompt}


def test_everyone_gets_the_same(tmp_path: Path) -> None:
    tasks = generation_tasks(tmp_path, "M", DTYPES[0], "python")
    labels = [task.series.label for task in tasks]
    assert labels == [
        *(f"selfcog, batch {number}" for number in OUR_BATCHES),
        *(f"{PLAIN}, batch {number}" for number in BATCHES),
    ]
    assert {task.series.model for task in tasks} == {series_name("M", DTYPES[0])}


def test_answers_are_compared_with_those_of_small_batches(tmp_path: Path) -> None:
    def make(peer: str, batch: int, answers: list[list[int]]) -> Series:
        readings = [Reading({"tokens_per_cpu_s": 1.0}), Reading(status="failed")]
        series = Series("generate", "M, bfloat16", peer, f"batch {batch}", readings)
        result_of(tmp_path, series).write_text(json.dumps({"answers": answers}), "utf-8")
        return series

    ours = make(OURS, 64, [[1, 2], [3], [4]])
    theirs = make(PLAIN, 8, [[1, 2], [3], [5]])
    found = with_same(tmp_path, [ours, theirs])
    assert [one.values("same") for one in found] == [[2.0], [3.0]]
    assert [len(one.readings) for one in found] == [2, 2]
