"""Shares of the loss: what was asked for exactly, and without a wish within bounds."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from selfcog.data import apply_shares, find_shares
from selfcog.data.shares import LEAST_SHARE, MOST_SHARE, MOST_WEIGHT
from selfcog.types import TokenizedExample

KINDS = ("identity", "known", "domain", "replay")
IDENTITY = {"identity", "known"}


def make_row(kind: str, num_supervised: int) -> TokenizedExample:
    ids = list(range(num_supervised + 2))
    return TokenizedExample(ids, [-100, -100, *ids[2:]], kind, "a.jsonl", 3)


ROWS = st.lists(
    st.builds(make_row, st.sampled_from(KINDS), st.integers(0, 400)), min_size=1, max_size=20
)


def tokens_of(rows: list[TokenizedExample], own: bool) -> float:
    return sum(row.num_supervised * row.weight for row in rows if (row.kind in IDENTITY) == own)


@given(ROWS, st.floats(0.01, 0.99))
def test_the_share_that_was_asked_for(rows: list[TokenizedExample], wanted: float) -> None:
    assume(tokens_of(rows, True) and tokens_of(rows, False))
    natural = tokens_of(rows, True) / (tokens_of(rows, True) + tokens_of(rows, False))
    found = find_shares(rows, wanted)
    weighted = apply_shares(rows, found)
    own, other = tokens_of(weighted, True), tokens_of(weighted, False)
    assert own / (own + other) == pytest.approx(wanted)
    assert (found.natural, found.share) == (pytest.approx(natural), wanted)


@given(ROWS, st.none() | st.floats(0.01, 0.99))
def test_on_average_a_token_counts_one(rows: list[TokenizedExample], wanted: float | None) -> None:
    """So that a share changes neither the size of the loss nor the learning rate."""
    weighted = apply_shares(rows, find_shares(rows, wanted))
    total = sum(row.num_supervised for row in rows)
    assert sum(row.num_supervised * row.weight for row in weighted) == pytest.approx(total)
    assert len({(row.kind in IDENTITY, row.weight) for row in weighted}) <= 2
    assert [(row.input_ids, row.labels, row.kind, row.source, row.line) for row in weighted] == [
        (row.input_ids, row.labels, row.kind, row.source, row.line) for row in rows
    ]


@given(ROWS)
def test_without_a_wish_the_share_is_bounded_as_far_as_weights_may_go(
    rows: list[TokenizedExample],
) -> None:
    assume(tokens_of(rows, True) and tokens_of(rows, False))
    found = find_shares(rows, None)
    weights = (found.identity_weight, found.other_weight)
    close = 1 + 1e-9
    assert all(1 / (MOST_WEIGHT * close) <= weight <= MOST_WEIGHT * close for weight in weights)
    if not LEAST_SHARE / close <= found.share <= MOST_SHARE * close:
        # Only where a token would have to count more than four times as much, or less than a
        # quarter; and then it counts just that.
        assert any(weight == pytest.approx(MOST_WEIGHT) for weight in weights) or any(
            weight == pytest.approx(1 / MOST_WEIGHT) for weight in weights
        )
    if LEAST_SHARE <= found.natural <= MOST_SHARE:
        assert weights == (1.0, 1.0) and found.share == found.natural


@given(st.lists(st.integers(0, 50), max_size=9), st.sampled_from(KINDS), st.none() | st.just(0.3))
def test_with_one_sort_of_rows_all_count_the_same(
    sizes: list[int], kind: str, wanted: float | None
) -> None:
    rows = [make_row(kind, size) for size in sizes]
    found = find_shares(rows, wanted)
    assert apply_shares(rows, found) == rows
    assert found.natural == found.share == (1.0 if kind in IDENTITY and any(sizes) else 0.0)


@pytest.mark.parametrize(
    ("own", "other", "share"),
    [
        (10, 990, 0.04),  # four times what it is
        (100, 900, 0.2),
        (300, 700, 0.3),
        (700, 300, 0.4),
        (950, 50, 0.8),  # the others four times what they are
    ],
)
def test_usual_mixtures(own: int, other: int, share: float) -> None:
    found = find_shares([make_row("identity", own), make_row("domain", other)], None)
    assert found.share == pytest.approx(share)


def test_facts_about_others_belong_to_the_identity() -> None:
    rows = [make_row("identity", 30), make_row("known", 30), make_row("domain", 940)]
    one, two, three = apply_shares(rows, find_shares(rows, 0.5))
    assert one.weight == two.weight == pytest.approx(0.5 / 0.06)
    assert three.weight == pytest.approx(0.5 / 0.94)
