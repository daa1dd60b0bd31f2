"""The benchmark's rows: the same every time, short and long as they are meant to be."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.models import BROKEN_ROWS, SHAPES, training_rows
from benchmarks.rows import (
    LONGEST,
    NUM_GENERAL,
    NUM_IDENTITY,
    SHORTEST,
    SYSTEM,
    Row,
    chatml,
    make_rows,
    stratified,
)


def count(text: str) -> int:
    """A stand-in for a tokenizer: a token is three characters."""
    return -(-len(text) // 3)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return make_rows(count, seed=0)


def test_the_same_seed_gives_the_same_rows(rows: list[Row]) -> None:
    assert make_rows(count, seed=0) == rows
    assert make_rows(count, seed=1) != rows


def test_lengths_are_those_of_the_text_and_long_tailed(rows: list[Row]) -> None:
    assert len(rows) == NUM_IDENTITY + NUM_GENERAL
    lengths = sorted(row.num_tokens for row in rows)
    assert all(row.num_tokens == count(chatml(row.question, row.answer)) for row in rows)
    assert lengths[0] > SHORTEST / 2 and 0.9 * LONGEST < lengths[-1] <= 1.02 * LONGEST
    middle, tenth_longest = lengths[150], lengths[270]
    assert tenth_longest > 2.5 * middle


def test_a_sample_has_the_lengths_of_all(rows: list[Row]) -> None:
    sample = stratified(rows, 16)
    assert len({id(row) for row in sample}) == 16
    assert stratified(list(reversed(rows)), 16) == sample
    mean_of_all = sum(row.num_tokens for row in rows) / len(rows)
    assert sum(row.num_tokens for row in sample) / 16 == pytest.approx(mean_of_all, rel=0.1)
    with pytest.raises(ValueError, match="301 of 300"):
        stratified(rows, 301)


def test_files_hold_whole_conversations(rows: list[Row], tmp_path: Path) -> None:
    lines = [json.dumps(asdict(row)) for row in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = training_rows(tmp_path, 8)
    written = [json.loads(line)["messages"] for line in found.path.read_text("utf-8").splitlines()]
    assert found.num_rows == len(written) == 8
    assert [turn["role"] for turn in written[0]] == ["system", "user", "assistant"]
    assert written[0][0]["content"] == SYSTEM
    texts = [chatml(question["content"], answer["content"]) for _, question, answer in written]
    assert sum(map(count, texts)) == found.num_tokens


def test_the_broken_file_is_broken() -> None:
    first, second = BROKEN_ROWS.splitlines()
    assert json.loads(first)
    with pytest.raises(json.JSONDecodeError):
        json.loads(second)


def test_every_step_of_a_model_can_be_filled() -> None:
    for shape in SHAPES.values():
        assert shape.steps * shape.examples <= NUM_IDENTITY + NUM_GENERAL
        assert shape.hidden % shape.heads == 0 == shape.heads % shape.key_heads
