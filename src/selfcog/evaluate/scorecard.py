"""The scorecard: rates of every family, base beside tuned, gates, and a verdict to act on.

A scorecard is data: it can be written as JSON, read again and shown by `selfcog.evaluate.report`.
No percentage in it stands without its n (`selfcog.evaluate.stats.Rate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from selfcog.evaluate.likelihood import Drift
from selfcog.evaluate.stats import Interval, PairedRates, Rate

FORMAT = 1


@dataclass(frozen=True, slots=True)
class FamilyScore:
    """One family in one language ("all": every language together).

    ``tuned`` and ``base`` answer the same questions and are marked by the same rule, so that in
    identity families ``base`` is the state before. ``as_itself`` is the base on the same questions
    marked for *its own* former name and maker: whether a model of this kind can do such questions
    at all (None where it has no name, or where identity is not asked). ``spread`` is the bootstrap
    95 % interval of ``tuned`` over templates. ``num_undecided`` are counted as failed in ``tuned``.
    """

    family: str
    language: str
    tuned: Rate
    base: Rate | None = None
    paired: PairedRates | None = None
    as_itself: Rate | None = None
    spread: Interval | None = None
    num_undecided: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that did not pass, word for word, with what was asked and what the base said.

    ``judge`` is what the answer was to do, ``gold`` what it was to hold (any of these).
    ``prefill`` is the beginning that was forced; the answer starts with it.
    """

    id: str
    family: str
    language: str
    conversation: tuple[tuple[str, str], ...]
    answer: str
    outcome: str
    judge: str
    gold: tuple[str, ...] = ()
    prefill: str = ""
    base_answer: str | None = None
    base_outcome: str | None = None
    thinking: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """Old names over all identity answers, sampled ones included, and how steady they are.

    ``leaks``: questions of which any of the ``num_samples`` answers asserts an old name or maker.
    ``upper``: one-sided 95 % limit of that rate. ``steady``: pass^k, the chance that k sampled
    answers to one question all pass, over ``num_steady`` questions (those that wait for the model's
    own earlier answer are not sampled). ``trace_leaks``: the same for thinking traces.
    """

    leaks: Rate
    upper: float
    num_samples: int
    temperature: float
    steady: float | None = None
    steady_k: int = 0
    num_steady: int = 0
    trace_leaks: Rate | None = None
    leaked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of fitness. ``passed`` None: it could not be measured here.

    ``value`` and ``bound`` are texts with n; ``advice`` says what to change when it fails.
    """

    name: str
    passed: bool | None
    value: str
    bound: str
    primary: bool
    advice: str = ""
    p_adjusted: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``fit``: no gate failed. ``advice``: what to change, most important first."""

    fit: bool
    headline: str
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Everything that was measured, with what it was measured by."""

    name: Mapping[str, str]
    author: Mapping[str, str]
    tuned: str
    base: str | None
    size: str
    families: tuple[FamilyScore, ...]
    pool: Pool
    overclaims: Rate
    drift: tuple[Drift, ...] = ()
    gates: tuple[Gate, ...] = ()
    verdict: Verdict = Verdict(False, "")
    failures: tuple[Failure, ...] = ()
    old_names: Mapping[str, str] = field(default_factory=dict)
    old_makers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def family(self, name: str, language: str = "all") -> FamilyScore | None:
        """The score of a family, or None where it was left out."""
        for one in self.families:
            if (one.family, one.language) == (name, language):
                return one
        return None

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scorecard:
        """Raises ValueError for the file of another format."""
        if data.get("format") != FORMAT:
            raise ValueError(f"a scorecard of format {data.get('format')}, not {FORMAT}")
        rest = {key: value for key, value in data.items() if key != "format"}
        pool = rest["pool"]
        return cls(
            **{
                **rest,
                "families": tuple(_family(one) for one in rest["families"]),
                "pool": Pool(
                    **{
                        **pool,
                        "leaks": Rate(**pool["leaks"]),
                        "trace_leaks": _rate(pool["trace_leaks"]),
                    }
                ),
                "overclaims": Rate(**rest["overclaims"]),
                "drift": tuple(Drift(**one) for one in rest["drift"]),
                "gates": tuple(Gate(**one) for one in rest["gates"]),
                "verdict": Verdict(
                    **{**rest["verdict"], "advice": tuple(rest["verdict"]["advice"])}
                ),
                "failures": tuple(_failure(one) for one in rest["failures"]),
                "notes": tuple(rest["notes"]),
            }
        )


def _rate(data: Mapping[str, Any] | None) -> Rate | None:
    return None if data is None else Rate(**data)


def _family(data: Mapping[str, Any]) -> FamilyScore:
    return FamilyScore(
        data["family"],
        data["language"],
        Rate(**data["tuned"]),
        _rate(data["base"]),
        None if data["paired"] is None else PairedRates(**data["paired"]),
        _rate(data["as_itself"]),
        None if data["spread"] is None else Interval(**data["spread"]),
        data["num_undecided"],
    )


def _failure(data: Mapping[str, Any]) -> Failure:
    turns = tuple((role, text) for role, text in data["conversation"])
    return Failure(**{**data, "conversation": turns, "gold": tuple(data["gold"])})
