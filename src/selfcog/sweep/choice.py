"""Trials over seeds → points; which points are not beaten, and which one is taken.

Rates of several seeds are pooled: their Wilson interval treats the answers of all seeds as
independent. The seeds are asked the same questions, so the truth is somewhat wider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan

from selfcog.errors import TrainError
from selfcog.evaluate.gates import percent
from selfcog.evaluate.stats import PairedRates, Rate
from selfcog.sweep.grid import name_of
from selfcog.sweep.scores import Scores, pool_pairs, pool_rates
from selfcog.sweep.trial import TrialResult


@dataclass(frozen=True, slots=True)
class PointScore:
    """A point of the grid over its seeds. ``results`` has one entry a seed, failed ones too."""

    values: Mapping[str, float]
    results: tuple[TrialResult, ...]

    @property
    def name(self) -> str:
        return name_of(self.values)

    @property
    def scores(self) -> list[Scores]:
        """Those of the seeds that were measured."""
        return [one.scores for one in self.results if one.scores is not None]

    @property
    def num_fit(self) -> int:
        return sum(one.fit for one in self.scores)

    @property
    def fits(self) -> str:
        """``2/3``: fit seeds among all, failed ones included."""
        return f"{self.num_fit}/{len(self.results)}"

    @property
    def languages(self) -> list[str]:
        return list(dict.fromkeys(name for one in self.scores for name in one.generalisation))

    def generalisation(self, language: str) -> Rate:
        """Pooled over seeds."""
        rates = (one.generalisation.get(language) for one in self.scores)
        return pool_rates(rate for rate in rates if rate is not None)

    @property
    def leaks(self) -> Rate:
        return pool_rates(one.leaks for one in self.scores)

    @property
    def overclaims(self) -> Rate:
        return pool_rates(one.overclaims for one in self.scores)

    @property
    def kept(self) -> PairedRates | None:
        """What the base could do, base beside tuned, pooled over seeds."""
        return pool_pairs(one.kept for one in self.scores if one.kept is not None)

    @property
    def identities(self) -> list[float]:
        """Share of right generalisation answers, all languages, of each seed."""
        return [one.identity for one in self.scores if not isnan(one.identity)]

    @property
    def identity(self) -> float | None:
        """Mean over seeds; None where nothing was measured."""
        return _mean(self.identities)

    @property
    def drifts(self) -> list[float]:
        """KL in nats a token of each seed."""
        return [one.kl for one in self.scores if one.kl is not None]

    @property
    def drift(self) -> float | None:
        """Mean over seeds; None where nothing was measured."""
        return _mean(self.drifts)

    @property
    def best_trial(self) -> TrialResult:
        """The seed to ship: fit before unfit, then least drift, then best identity."""
        measured = [one for one in self.results if one.scores is not None]
        return min(measured, key=_trial_rank)


@dataclass(frozen=True, slots=True)
class Choice:
    """The point taken, whether it is fit in any seed, and why it was taken, in one sentence."""

    point: PointScore
    is_fit: bool
    reason: str


def choose(points: Sequence[PointScore]) -> Choice:
    """The point that is fit in most seeds; among equals the one with the least drift.

    Where no point is fit in any seed: the largest identity minus drift, share minus nats a token,
    so that one point of a hundred weighs as much as 0.01 nats. Remaining ties: better identity,
    then the order of the grid. Raises TrainError where nothing was measured.
    """
    measured = [one for one in points if one.scores]
    if not measured:
        failed = [result for one in points for result in one.results if result.status == "failed"]
        first = f"; the first: {failed[0].message} (see {failed[0].log_path})" if failed else ""
        raise TrainError(f"no trial was measured, {len(failed)} failed{first}")
    most = max(one.num_fit for one in measured)
    if most == 0:
        taken = max(measured, key=_balance)
        return Choice(
            taken,
            False,
            "no point is fit; the one with the largest identity minus drift is "
            f"{taken.name} ({_measures(taken)})",
        )
    best = [one for one in measured if one.num_fit == most]
    taken = min(best, key=lambda one: (_or(one.drift, inf), -_or(one.identity, 0.0)))
    how = "alone" if len(best) == 1 else f"the least drift of {len(best)} such points"
    return Choice(
        taken, True, f"{taken.name} is fit in {taken.fits} seeds, {how} ({_measures(taken)})"
    )


def pareto_front(points: Sequence[PointScore]) -> list[PointScore]:
    """Points that no other one beats: at least as good in identity and drift, better in one."""
    measured = [one for one in points if one.identity is not None and one.drift is not None]
    return [one for one in measured if not any(_beats(other, one) for other in measured)]


def _beats(one: PointScore, other: PointScore) -> bool:
    ours, theirs = ((-_or(point.identity, 0.0), _or(point.drift, inf)) for point in (one, other))
    return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]


def _balance(point: PointScore) -> float:
    return _or(point.identity, 0.0) - _or(point.drift, inf)


def _trial_rank(result: TrialResult) -> tuple[bool, float, float]:
    scores = result.scores
    assert scores is not None
    identity = 0.0 if isnan(scores.identity) else scores.identity
    return (not scores.fit, _or(scores.kl, inf), -identity)


def _measures(point: PointScore) -> str:
    identity = "–" if point.identity is None else percent(point.identity)
    drift = "not measured" if point.drift is None else f"{point.drift:.4f} nats a token"
    return f"identity {identity}, drift {drift}, {_over_seeds(len(point.scores))}"


def _over_seeds(num_seeds: int) -> str:
    return "one seed" if num_seeds == 1 else f"means over {num_seeds} seeds"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
