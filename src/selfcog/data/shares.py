"""How strongly each kind of row is learnt: shares of the loss by supervised token, not by row.

Identity answers are short. 500 of them beside 1,000 answers of a domain are a tenth of the tokens
or less, and hardly learnt; 500 beside 100 would drown the domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from selfcog.types import TokenizedExample

IDENTITY_KINDS = frozenset({"identity", "known"})
# Where nothing is asked for: the identity gets a fifth of the loss at least and two fifths at
# most (the project's research notes, §6a), and no token counts more than four times another kind's
# share would have it.
LEAST_SHARE, MOST_SHARE, MOST_WEIGHT = 0.2, 0.4, 4.0


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the identity rows (facts about other makers among them): ``natural`` is their share of
    the supervised tokens, ``share`` that of the loss. ``identity_weight`` and ``other_weight`` are
    what a token of either counts; on average a token counts 1."""

    natural: float
    share: float
    identity_weight: float = 1.0
    other_weight: float = 1.0


def find_shares(rows: Sequence[TokenizedExample], wanted: float | None) -> Shares:
    """The weights that give the identity rows the share ``wanted``; None: within the usual bounds.

    With rows of one sort only nothing can be shared, and all weights are 1.
    """
    tokens = {True: 0, False: 0}
    for row in rows:
        tokens[row.kind in IDENTITY_KINDS] += row.num_supervised
    own, other = tokens[True], tokens[False]
    natural = own / (own + other) if own + other else 0.0
    if not own or not other:
        return Shares(natural, natural)
    if wanted is None:
        bounded = min(max(natural, LEAST_SHARE), MOST_SHARE)
        lowest, highest = natural / MOST_WEIGHT, natural * MOST_WEIGHT
        share = min(max(bounded, lowest, 1 - MOST_WEIGHT * (1 - natural)), highest)
    else:
        share = wanted
    if share == natural:
        return Shares(natural, natural)
    return Shares(natural, share, share / natural, (1 - share) / (1 - natural))


def apply_shares(rows: Sequence[TokenizedExample], shares: Shares) -> list[TokenizedExample]:
    """The rows with their weights."""
    return [
        replace(
            row,
            weight=shares.identity_weight if row.kind in IDENTITY_KINDS else shares.other_weight,
        )
        for row in rows
    ]
