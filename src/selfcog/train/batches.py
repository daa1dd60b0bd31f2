"""From the examples of a step to the tensors of one forward pass.

Axes: B rows, T positions of a row, N supervised targets of the batch.

Packed, B = 1: conversations stand one after another, each with positions from 0, and attention
keeps them apart. Padded: one conversation a row, filled up on the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from selfcog.tokens.pack import balance, pack
from selfcog.train.loss import Teacher
from selfcog.types import IGNORE_INDEX, TokenizedExample


@dataclass(frozen=True, slots=True)
class AnchoredExample(TokenizedExample):
    """A conversation whose answer is not to change: ``teacher`` at its supervised places."""

    teacher: Teacher | None = None


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward pass.

    ``targets_N[i]`` is the token that the position ``target_index_N[i]`` (flat, over B·T) must
    predict; positions whose next label is −100 have no entry. ``segment_lengths`` are the
    lengths of the packed conversations, empty for a padded batch; ``attention_mask_BT`` is there
    for a padded batch only, 1 for a token, 0 for padding. ``weights_N``: how much each target
    counts, None where all count 1. With a ``teacher`` its distribution is the goal.
    """

    input_ids_BT: torch.Tensor
    position_ids_BT: torch.Tensor
    attention_mask_BT: torch.Tensor | None
    segment_lengths: tuple[int, ...]
    target_index_N: torch.Tensor
    targets_N: torch.Tensor
    num_tokens: int
    weights_N: torch.Tensor | None = None
    teacher: Teacher | None = None

    @property
    def num_positions(self) -> int:
        """Positions that are computed, padding included."""
        return self.input_ids_BT.numel()

    @property
    def num_targets(self) -> int:
        return self.targets_N.numel()

    def to(self, device: torch.device) -> MicroBatch:
        mask, weights, teacher = self.attention_mask_BT, self.weights_N, self.teacher
        return replace(
            self,
            input_ids_BT=self.input_ids_BT.to(device, non_blocking=True),
            position_ids_BT=self.position_ids_BT.to(device, non_blocking=True),
            attention_mask_BT=None if mask is None else mask.to(device, non_blocking=True),
            target_index_N=self.target_index_N.to(device, non_blocking=True),
            targets_N=self.targets_N.to(device, non_blocking=True),
            weights_N=None if weights is None else weights.to(device, non_blocking=True),
            teacher=None if teacher is None else teacher.to(device),
        )


@dataclass(frozen=True, slots=True)
class Share:
    """What one rank computes of some groups of examples; ``imbalance`` as in StepEvent."""

    groups: list[list[TokenizedExample]]
    imbalance: float


def share_of_rank(
    groups: Sequence[Sequence[TokenizedExample]], rank: int, world_size: int
) -> Share:
    """The part of a step's examples that ``rank`` computes: equal tokens, not equal numbers.

    Every example goes to exactly one rank; a short step may leave a rank without any. The groups
    are shared out together, so that what one group leaves uneven another one can fill.
    """
    if world_size == 1:
        return Share([list(group) for group in groups], 0.0)
    lengths = [example.num_tokens for group in groups for example in group]
    parts = balance(lengths, world_size)
    loads = [sum(lengths[index] for index in part) for part in parts]
    mine, start = set(parts[rank]), 0
    found = []
    for group in groups:
        found.append([one for place, one in enumerate(group, start) if place in mine])
        start += len(group)
    return Share(found, max(loads) * world_size / max(sum(loads), 1) - 1.0)


def pack_examples(examples: Sequence[TokenizedExample], token_budget: int) -> list[MicroBatch]:
    """Packed batches of at most ``token_budget`` positions; a longer example gets its own."""
    bins = pack([example.num_tokens for example in examples], token_budget)
    return [collate_packed([examples[index] for index in chosen]) for chosen in bins]


def pad_examples(
    examples: Sequence[TokenizedExample],
    token_budget: int,
    max_rows: int | None = None,
    pad_id: int = 0,
) -> list[MicroBatch]:
    """Padded batches of at most ``token_budget`` positions and ``max_rows`` rows.

    Examples of like length share a batch, so that little is padded.
    """
    batches: list[MicroBatch] = []
    rows: list[TokenizedExample] = []
    # Longest first: the first example of a batch is as wide as the batch.
    for example in sorted(examples, key=lambda item: -item.num_tokens):
        is_full = max_rows is not None and len(rows) == max_rows
        if rows and (is_full or (len(rows) + 1) * rows[0].num_tokens > token_budget):
            batches.append(_collate_padded(rows, pad_id))
            rows = []
        rows.append(example)
    if rows:
        batches.append(_collate_padded(rows, pad_id))
    return batches


def _targets(example: TokenizedExample, offset: int) -> tuple[list[int], list[int]]:
    """Flat positions that predict a supervised token, and these tokens."""
    index, targets = [], []
    for position, label in enumerate(example.labels[1:]):
        if label != IGNORE_INDEX:
            index.append(offset + position)
            targets.append(label)
    return index, targets


def _weights(examples: Sequence[TokenizedExample]) -> torch.Tensor | None:
    """A weight a target, in the order of the targets; None where all are 1."""
    if all(example.weight == 1.0 for example in examples):
        return None
    counts = torch.tensor([example.num_supervised for example in examples])
    return torch.tensor([example.weight for example in examples]).repeat_interleave(counts)


def _teacher(examples: Sequence[TokenizedExample]) -> Teacher | None:
    """The teacher at all targets; None unless every example has one."""
    found = [one.teacher for one in examples if isinstance(one, AnchoredExample)]
    teachers = [one for one in found if one is not None]
    if not teachers or len(teachers) < len(examples):
        return None
    return Teacher.join(teachers)


def collate_packed(examples: Sequence[TokenizedExample]) -> MicroBatch:
    """One row of all ``examples``, in this order."""
    ids: list[int] = []
    positions: list[int] = []
    index: list[int] = []
    targets: list[int] = []
    for example in examples:
        found, wanted = _targets(example, len(ids))
        index += found
        targets += wanted
        positions += range(example.num_tokens)
        ids += example.input_ids
    return MicroBatch(
        input_ids_BT=torch.tensor([ids]),
        position_ids_BT=torch.tensor([positions]),
        attention_mask_BT=None,
        segment_lengths=tuple(example.num_tokens for example in examples),
        target_index_N=torch.tensor(index, dtype=torch.long),
        targets_N=torch.tensor(targets, dtype=torch.long),
        num_tokens=len(ids),
        weights_N=_weights(examples),
        teacher=_teacher(examples),
    )


def _collate_padded(examples: Sequence[TokenizedExample], pad_id: int) -> MicroBatch:
    width = max(example.num_tokens for example in examples)
    index: list[int] = []
    targets: list[int] = []
    for row, example in enumerate(examples):
        found, wanted = _targets(example, row * width)
        index += found
        targets += wanted
    lengths = torch.tensor([example.num_tokens for example in examples])
    positions_T = torch.arange(width)
    return MicroBatch(
        input_ids_BT=torch.tensor(
            [example.input_ids + [pad_id] * (width - example.num_tokens) for example in examples]
        ),
        position_ids_BT=positions_T.expand(len(examples), width),
        attention_mask_BT=(positions_T < lengths[:, None]).long(),
        segment_lengths=(),
        target_index_N=torch.tensor(index, dtype=torch.long),
        targets_N=torch.tensor(targets, dtype=torch.long),
        num_tokens=int(lengths.sum()),
        weights_N=_weights(examples),
        teacher=_teacher(examples),
    )
