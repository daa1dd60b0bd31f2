"""Quotas, dev rows and the final order. Everything is drawn with a seed.

The arithmetic is the one that users of ms-swift know: 1 % of the domain rows become dev rows,
``train_dataset_sample`` then counts what is taken of the rest, and identity rows come on top:
1,000 + 500 = 1,500. Other than there, the rows are drawn over all sources alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from selfcog.errors import DataError
from selfcog.types import Example, Finding, Message, Mixture

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Selection:
    """Domain rows to train on and to measure the evaluation loss on."""

    train: list[Example] = field(default_factory=list)
    dev: list[Example] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def draw(rows: Sequence[_Row], number: int, seed: int | str) -> list[_Row]:
    """``number`` rows without replacement, in their order; more than there are: whole copies and
    a drawn remainder. No rows: an empty list."""
    if not rows:
        return []
    copies, rest = divmod(number, len(rows))
    chosen = sorted(random.Random(seed).sample(range(len(rows)), rest))
    return [*rows] * copies + [rows[index] for index in chosen]


def sample(
    examples: Sequence[Example], number: int, seed: int, purpose: str = "sample"
) -> list[Example]:
    """``number`` rows drawn over all examples, whatever source they come from; −1 or more than
    there are: all of them. The order is kept. Another ``purpose`` draws others."""
    if number < 0 or number >= len(examples):
        return list(examples)
    return draw(examples, number, f"{seed}/{purpose}")


def split_dev(examples: Sequence[Example], ratio: float, seed: int) -> Selection:
    """Sets ``ratio`` of the rows aside as dev rows: ⌈ratio · n⌉, at least 1, never all.

    Rows with the same conversation stay on one side; where a repeated row does not fit the number,
    another is taken.

    Raises:
        DataError: the ratio is not in [0, 1).
    """
    if not 0 <= ratio < 1:
        raise DataError(f"split_dataset_ratio is {ratio}; it must be at least 0 and below 1")
    num_rows = len(examples)
    # The product of a decimal ratio can exceed the whole number by a rounding error.
    wanted = min(math.ceil(round(ratio * num_rows, 9)), num_rows - 1)
    groups: dict[tuple[Message, ...], list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.messages, []).append(index)
    if ratio == 0 or len(groups) < 2:
        return Selection(list(examples))
    order = list(groups.values())
    random.Random(f"{seed}/split").shuffle(order)
    chosen: set[int] = set()
    for group in order:
        if len(chosen) + len(group) <= wanted:
            chosen.update(group)
    if not chosen:
        smallest = min(order, key=len)
        chosen.update(smallest)
    return Selection(
        [example for index, example in enumerate(examples) if index not in chosen],
        [example for index, example in enumerate(examples) if index in chosen],
    )


def select(
    domain: Sequence[Example],
    val: Sequence[Example] = (),
    *,
    split_dataset_ratio: float = 0.01,
    train_dataset_sample: int = -1,
    val_dataset_sample: int | None = None,
    seed: int = 42,
) -> Selection:
    """Which domain rows are trained and which are dev rows.

    With ``val`` (rows of ``--val_dataset``) nothing is split off. ``val_dataset_sample`` None
    takes max(⌊train_dataset_sample · ratio⌋, 1) dev rows of those split off (1,000 → 10), all of
    them without a train sample, and all rows of ``val``; −1 takes all.
    """
    findings: list[Finding] = []
    if val:
        split = Selection(list(domain), list(val))
        known = {example.messages for example in val}
        overlap = sum(example.messages in known for example in domain)
        if overlap:
            message = f"{overlap:,} training rows are also in the validation data"
            findings.append(Finding("warning", message))
        num_dev = -1 if val_dataset_sample is None else val_dataset_sample
    else:
        split = split_dev(domain, split_dataset_ratio, seed)
        num_dev = -1 if val_dataset_sample is None else val_dataset_sample
        if val_dataset_sample is None and train_dataset_sample >= 0:
            num_dev = max(int(round(train_dataset_sample * split_dataset_ratio, 9)), 1)
    if train_dataset_sample > len(split.train):
        message = (
            f"train_dataset_sample {train_dataset_sample:,} is more than the "
            f"{len(split.train):,} domain rows there are; all are taken, once"
        )
        findings.append(Finding("warning", message))
    train = sample(split.train, train_dataset_sample, seed)
    return Selection(train, sample(split.dev, num_dev, seed), findings)


def mix(
    *,
    identity: Sequence[Example] = (),
    domain: Sequence[Example] = (),
    known: Sequence[Example] = (),
    replay: Sequence[Example] = (),
    dev: Sequence[Example] = (),
    seed: int = 42,
) -> Mixture:
    """All training rows in a random order; dev rows in theirs."""
    train = [*domain, *identity, *known, *replay]
    random.Random(f"{seed}/mix").shuffle(train)
    return Mixture(train, list(dev))
