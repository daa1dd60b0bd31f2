"""From examples to tensors: nothing lost, nothing counted twice, targets where they belong."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import make_rows

from selfcog.train.batches import (
    MicroBatch,
    collate_packed,
    pack_examples,
    pad_examples,
    share_of_rank,
)
from selfcog.types import TokenizedExample

TWO = [
    TokenizedExample([5, 6, 7, 8], [-100, 6, -100, 8]),
    TokenizedExample([9, 10, 11], [9, -100, 11]),
]


def test_packed_row_by_hand() -> None:
    batch = collate_packed(TWO)
    assert batch.input_ids_BT.tolist() == [[5, 6, 7, 8, 9, 10, 11]]
    assert batch.position_ids_BT.tolist() == [[0, 1, 2, 3, 0, 1, 2]]
    assert batch.segment_lengths == (4, 3)
    # The first token of a conversation is predicted by nothing, whatever its label says.
    assert batch.target_index_N.tolist() == [0, 2, 5]
    assert batch.targets_N.tolist() == [6, 8, 11]


def test_padded_rows_by_hand() -> None:
    [batch] = pad_examples(TWO, token_budget=8, pad_id=99)
    assert batch.input_ids_BT.tolist() == [[5, 6, 7, 8], [9, 10, 11, 99]]
    assert batch.attention_mask_BT is not None
    assert batch.attention_mask_BT.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch.target_index_N.tolist() == [0, 2, 5]
    assert batch.targets_N.tolist() == [6, 8, 11]
    assert (batch.num_tokens, batch.num_positions) == (7, 8)


def test_padded_batches_keep_to_budget_and_rows() -> None:
    rows = make_rows(20)
    for batch in pad_examples(rows, token_budget=100):
        assert batch.num_positions <= 100
    assert [len(batch.input_ids_BT) for batch in pad_examples(rows, 10**6, max_rows=8)] == [8, 8, 4]


@settings(max_examples=40)
@given(count=st.integers(1, 20), budget=st.integers(1, 120), seed=st.integers(0, 9))
def test_every_target_is_in_exactly_one_batch(count: int, budget: int, seed: int) -> None:
    rows = make_rows(count, seed=seed)
    wanted = sorted(label for row in rows for label in row.labels[1:] if label != -100)
    for batches in (pack_examples(rows, budget), pad_examples(rows, budget)):
        assert sorted(int(t) for b in batches for t in b.targets_N) == wanted
        assert sum(batch.num_tokens for batch in batches) == sum(row.num_tokens for row in rows)
        for batch in batches:
            assert predicted(batch).equal(batch.targets_N)


def predicted(batch: MicroBatch) -> torch.Tensor:
    """The tokens that follow the target positions."""
    return batch.input_ids_BT.flatten()[batch.target_index_N + 1]


@given(count=st.integers(0, 20), world_size=st.integers(1, 5))
def test_ranks_share_a_step_without_overlap(count: int, world_size: int) -> None:
    rows = make_rows(count)
    shares = [share_of_rank([rows], rank, world_size).groups[0] for rank in range(world_size)]
    assert sorted(row.line for share in shares for row in share) == [row.line for row in rows]
    tokens = [sum(row.num_tokens for row in share) for share in shares]
    assert max(tokens) - min(tokens) <= max((row.num_tokens for row in rows), default=0)


def test_groups_are_shared_out_together_and_the_imbalance_is_said() -> None:
    """The second group fills the rank that the first one left short."""
    long, short, rest = ([TokenizedExample([0] * n, [0] * n)] for n in (9, 5, 4))
    shares = [share_of_rank([long + short, rest], rank, 2) for rank in range(2)]
    assert [[len(group) for group in share.groups] for share in shares] == [[1, 0], [1, 1]]
    assert [share.imbalance for share in shares] == [0.0, 0.0]
    alone = share_of_rank([long + short], 0, 2)
    assert alone.imbalance == pytest.approx(9 / 7 - 1)
    assert share_of_rank([long, short], 0, 1).groups == [long, short]
