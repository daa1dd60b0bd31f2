"""Packs and ranks: nothing lost, budgets kept, tokens even."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfcog.tokens.pack import balance, pack

LENGTHS = st.lists(st.integers(0, 300), max_size=80)


@given(lengths=LENGTHS, budget=st.integers(1, 400))
def test_packs_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    packs = pack(lengths, budget)
    assert sorted(index for row in packs for index in row) == list(range(len(lengths)))
    for indices in packs:
        assert indices == sorted(indices)
        assert len(indices) == 1 or sum(lengths[index] for index in indices) <= budget
    assert packs == sorted(packs) == pack(lengths, budget)


@given(lengths=LENGTHS, budget=st.integers(1, 400))
def test_no_two_packs_could_be_one(lengths: list[int], budget: int) -> None:
    tokens = sorted(sum(lengths[index] for index in indices) for indices in pack(lengths, budget))
    assert len(tokens) < 2 or tokens[0] + tokens[1] > budget


@given(lengths=LENGTHS, num_ranks=st.integers(1, 9))
def test_ranks_differ_by_at_most_the_longest_row(lengths: list[int], num_ranks: int) -> None:
    ranks = balance(lengths, num_ranks)
    assert len(ranks) == num_ranks and ranks == balance(lengths, num_ranks)
    assert sorted(index for row in ranks for index in row) == list(range(len(lengths)))
    tokens = [sum(lengths[index] for index in indices) for indices in ranks]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)


def test_best_fit_fills_packs() -> None:
    assert pack([6, 5, 4, 3, 2], 10) == [[0, 2], [1, 3, 4]]
    assert pack([50, 3], 10) == [[0], [1]]
    assert pack([], 10) == []
    assert balance([8, 1, 7, 2], 2) == [[0, 1], [2, 3]]
    assert balance([0, 0, 0, 0], 2) == [[0, 2], [1, 3]]


def test_senseless_limits_are_errors() -> None:
    with pytest.raises(ValueError, match="budget"):
        pack([1], 0)
    with pytest.raises(ValueError, match="rank"):
        balance([1], 0)
