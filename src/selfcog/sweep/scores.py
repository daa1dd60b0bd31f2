"""What a sweep looks at in a scorecard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from selfcog.evaluate.scorecard import Scorecard
from selfcog.evaluate.stats import PairedRates, Rate

# Families of what the base knew and could do, as in the gates.
KEPT_FAMILIES = ("locality", "exact", "choice", "user")


@dataclass(frozen=True, slots=True)
class Scores:
    """The measures of one card.

    ``generalisation``: language → rate on wordings that were never trained. ``leaks``: questions
    answered with an old name or maker. ``overclaims``: questions about others' work that was
    claimed. ``kept``: base beside tuned over KEPT_FAMILIES together. ``kl``: drift on the base's
    own answers in nats a token. The last two are None where the card has no base beside it.
    """

    generalisation: Mapping[str, Rate]
    leaks: Rate
    overclaims: Rate
    kept: PairedRates | None
    kl: float | None
    fit: bool
    headline: str

    @classmethod
    def of(cls, card: Scorecard) -> Scores:
        pairs = [
            score.paired
            for family in KEPT_FAMILIES
            if (score := card.family(family)) is not None and score.paired is not None
        ]
        return cls(
            {
                one.language: one.tuned
                for one in card.families
                if one.family == "generalisation" and one.language != "all"
            },
            card.pool.leaks,
            card.overclaims,
            pool_pairs(pairs),
            # The first is measured on the base's own answers; that on the user's rows, which are
            # trained, is meant to move.
            card.drift[0].mean_kl if card.drift else None,
            card.verdict.fit,
            card.verdict.headline,
        )

    @property
    def identity(self) -> float:
        """Share of the generalisation questions of all languages that pass; NaN without any."""
        return pool_rates(self.generalisation.values()).share

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scores:
        return cls(
            **{
                **data,
                "generalisation": {
                    language: Rate(**rate) for language, rate in data["generalisation"].items()
                },
                "leaks": Rate(**data["leaks"]),
                "overclaims": Rate(**data["overclaims"]),
                "kept": None if data["kept"] is None else PairedRates(**data["kept"]),
            }
        )


def pool_rates(rates: Iterable[Rate]) -> Rate:
    """All trials of the rates as one rate."""
    found = list(rates)
    return Rate(sum(one.num_passed for one in found), sum(one.n for one in found))


def pool_pairs(pairs: Iterable[PairedRates]) -> PairedRates | None:
    """All pairs as one table; None for no table at all."""
    found = list(pairs)
    if not found:
        return None
    return PairedRates(
        sum(one.both for one in found),
        sum(one.only_base for one in found),
        sum(one.only_tuned for one in found),
        sum(one.neither for one in found),
    )
