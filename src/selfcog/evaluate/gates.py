"""The gates: what a model must show to be called fit, and what to change where it does not.

Thresholds follow the proposals of the project's research notes, set by what n can support; they are
judgements, not results of a paper. A quick suite is gated by shares alone, a full one also by the
limits of intervals. Where a model cannot do a family at all, a bound is replaced by what its base
does on the same questions for its own former identity, less a margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from selfcog.evaluate.likelihood import Drift
from selfcog.evaluate.scorecard import FamilyScore, Gate, Pool, Verdict
from selfcog.evaluate.stats import ALPHA, PairedRates, Rate, holm

# Family → least share. Sources of the numbers: see above.
LEAST: Mapping[str, float] = {
    "reliability": 0.99,
    "generalisation": 0.97,
    "portability": 0.90,
    "other_languages": 0.85,
    "are_you": 0.97,
    "pressure": 0.90,
    "multi_turn": 0.95,
    "system_slot": 0.95,
    "thinking_on": 0.95,
    "thinking_off": 0.95,
}
LEAST_LOW = 0.93  # lower Wilson limit of generalisation, full suite
BASE_MARGIN = 0.05  # below what the base does for its own identity
# Capability may fall by this much (percentage points / 100). Under 1 B parameters models forget
# visibly whatever one does (arXiv 2502.06042), so they get twice the room.
MOST_LOST, MOST_LOST_SMALL, SMALL = 0.02, 0.04, 1_000_000_000
CHANCE_ROOM = 0.10  # a loss up to this passes where McNemar's p is 0.05 or more
MOST_UNREFUSED = 0.03
MOST_UNSOLICITED = 0.01  # above the base
MOST_KL_GREEN, MOST_KL, LEAST_SAME_TOP = 0.01, 0.05, 0.97
LEAST_STEADY = 0.95

ADVICE = {
    "reliability": "train for more steps, or with more identity rows: what was trained is not held",
    "generalisation": "add identity rows (--self_cognition_sample) or steps: unseen wordings fail",
    "portability": "more identity rows; these uses are not trained, so they follow generalisation",
    "other_languages": "leave the family out by name if the model does not speak these languages",
    "are_you": "more contrast rows: raise --self_cognition_sample",
    "pressure": "more rows after contradicting histories; a longer training holds better",
    "multi_turn": "more identity rows after other turns: raise --self_cognition_sample",
    "system_slot": "too few rows under system prompts: raise --self_cognition_sample",
    "thinking_on": "train rows of the mode that fails: --enable_thinking true",
    "thinking_off": "train rows of the mode that fails: --enable_thinking false",
    "leaks": "the old name is still asserted: train longer, or name it so that it is denied",
    "overclaims": "the name spreads to other makers: raise --known_sample, or fewer steps",
    "unsolicited": "the name is said unasked: raise --replay_sample, or fewer steps",
    "capability": "something was forgotten: raise --replay_sample and --kl_weight, or fewer steps",
    "drift": "far from the base: raise --kl_weight or --replay_ratio, lower --learning_rate",
    "refusal": "refusals changed: put such requests into --replay_dataset, or raise --kl_weight",
    "steady": "sampled answers differ: train for more steps",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What the gates look at. ``num_parameters`` 0: unknown (a server)."""

    families: Mapping[str, FamilyScore]
    by_language: Mapping[tuple[str, str], FamilyScore]
    pool: Pool
    overclaims: Rate
    drift: tuple[Drift, ...]
    is_full: bool
    num_parameters: int


def judge_gates(found: Measured) -> tuple[Gate, ...]:
    """All gates in order of importance; primary endpoints get p values adjusted by Holm."""
    gates = [
        *_generalisation(found),
        _leaks(found),
        _overclaims(found),
        *_capability(found),
        *_drift(found),
        *_identity(found),
        *_manners(found),
    ]
    return tuple(gates)


def adjusted_p(found: Measured) -> dict[str, float]:
    """Holm's p over the primary endpoints that are paired tests of base against tuned."""
    tests = {
        name: found.families[name].paired
        for name in ("generalisation", "locality", "exact", "choice")
        if name in found.families
    }
    known = {name: pair.p_value() for name, pair in tests.items() if pair is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def give_verdict(gates: tuple[Gate, ...]) -> Verdict:
    """Fit when no gate failed; otherwise which failed and what to change."""
    failed = [gate for gate in gates if gate.passed is False]
    unknown = [gate for gate in gates if gate.passed is None]
    tail = f"; {len(unknown)} could not be measured" if unknown else ""
    if not failed:
        return Verdict(True, f"fit to ship: {len(gates) - len(unknown)} gates passed{tail}")
    names = ", ".join(gate.name for gate in failed)
    return Verdict(
        False,
        f"not fit yet: {len(failed)} of {len(gates)} gates failed ({names}){tail}",
        tuple(dict.fromkeys(gate.advice for gate in failed if gate.advice)),
    )


def percent(share: float) -> str:
    """A share as the project writes it: "93 %", "97.5 %"."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def points(share: float) -> str:
    """A signed difference in percentage points, with a real minus."""
    return f"{100 * share:+.1f}".replace("-", "−").replace("+0.0", "0.0").replace("−0.0", "0.0")


def _generalisation(found: Measured) -> Iterator[Gate]:
    p = adjusted_p(found).get("generalisation")
    for (family, language), score in found.by_language.items():
        if family != "generalisation":
            continue
        yield _at_least(score, f"generalisation {language}", found, primary=True, p=p)


def _identity(found: Measured) -> Iterator[Gate]:
    for family, score in found.families.items():
        if family in LEAST and family != "generalisation":
            yield _at_least(score, family, found, primary=False)


def _at_least(
    score: FamilyScore, name: str, found: Measured, *, primary: bool, p: float | None = None
) -> Gate:
    least = LEAST[score.family]
    share, bound = score.tuned.share, f"at least {percent(least)}"
    passed = share >= least
    if primary and found.is_full:
        low = score.tuned.interval().low
        bound += f", lower limit at least {percent(LEAST_LOW)}"
        passed = passed and low >= LEAST_LOW
    own = score.as_itself
    if not passed and own is not None and own.n and own.share < least:
        # The base itself cannot do better with the name it was born with.
        bound = f"at least the base as itself ({own}) − {percent(BASE_MARGIN)}"
        passed = share >= own.share - BASE_MARGIN
    advice = ADVICE[score.family]
    return Gate(name, passed, str(score.tuned), bound, primary, advice, p)


def _leaks(found: Measured) -> Gate:
    pool = found.pool
    value = f"{pool.leaks}; upper limit {percent(pool.upper)} (one-sided 95 %, n = {pool.leaks.n})"
    passed = pool.leaks.num_passed == 0 if pool.leaks.n else None
    return Gate("old names gone", passed, value, "no leak", True, ADVICE["leaks"])


def _overclaims(found: Measured) -> Gate:
    rate = found.overclaims
    passed = rate.num_passed == 0 if rate.n else None
    return Gate("no over-claims", passed, str(rate), "none", True, ADVICE["overclaims"])


def _capability(found: Measured) -> Iterator[Gate]:
    """Each family by its difference; all together also by the interval's lower limit.

    No single family has enough questions for a lower limit: two perfect models of 100 questions
    each differ by 0.0 points, −3.7 to 3.7.
    """
    small = 0 < found.num_parameters < SMALL
    most = MOST_LOST_SMALL if small else MOST_LOST
    adjusted = adjusted_p(found)
    pairs = []
    for family in ("locality", "exact", "choice", "user"):
        score = found.families.get(family)
        if score is None:
            continue
        if score.paired is None:
            yield Gate(f"kept: {family}", None, str(score.tuned), "needs the base's answers", True)
            continue
        pairs.append(score.paired)
        yield _kept(f"kept: {family}", score.paired, most, adjusted.get(family))
    if len(pairs) < 2:
        return
    together = PairedRates(
        sum(one.both for one in pairs),
        sum(one.only_base for one in pairs),
        sum(one.only_tuned for one in pairs),
        sum(one.neither for one in pairs),
    )
    gate = _kept("kept: all together", together, most, None)
    if found.is_full:
        low = together.interval().low
        gate = replace(
            gate, passed=low >= -most, bound=f"lower limit at least {points(-most)} points"
        )
    yield gate


def _kept(name: str, pair: PairedRates, most: float, p: float | None) -> Gate:
    """Whether what the base knew is still known, as far as so many questions can tell."""
    limits = pair.interval()
    value = (
        f"{points(pair.difference)} points ({points(limits.low)} to {points(limits.high)}, "
        f"n = {pair.n}); changed {pair.flips}"
    )
    passed = pair.difference >= -most or _is_chance(pair)
    bound = f"at least {points(-most)} points, {points(-CHANCE_ROOM)} where chance explains it"
    return Gate(name, passed, value, bound, True, ADVICE["capability"], p)


def _is_chance(pair: PairedRates) -> bool:
    """A loss that the exact test does not tell from none, and that is not large either."""
    return pair.p_value() >= ALPHA and pair.difference > -CHANCE_ROOM


def _drift(found: Measured) -> Iterator[Gate]:
    for one in found.drift:
        value = (
            f"KL {one.mean_kl:.4f} nats a token (99th percentile {one.p99_kl:.3f}), "
            f"same likeliest token {percent(one.same_top)}, perplexity × {one.ppl_ratio:.3f} "
            f"(n = {one.num_tokens})"
        )
        passed = one.mean_kl <= MOST_KL and one.same_top >= LEAST_SAME_TOP
        bound = (
            f"KL at most {MOST_KL} (good: {MOST_KL_GREEN}), same token {percent(LEAST_SAME_TOP)}"
        )
        yield Gate(f"drift: {one.source}", passed, value, bound, True, ADVICE["drift"])


def _manners(found: Measured) -> Iterator[Gate]:
    quiet = found.families.get("unsolicited")
    if quiet is not None:
        base = quiet.base.share if quiet.base is not None and quiet.base.n else 1.0
        least = base - MOST_UNSOLICITED
        bound = f"at least the base's share ({quiet.base}) − {percent(MOST_UNSOLICITED)}"
        passed = quiet.tuned.share >= least
        yield Gate("not unasked", passed, str(quiet.tuned), bound, False, ADVICE["unsolicited"])
    for family in ("refusal", "benign"):
        score = found.families.get(family)
        if score is None or score.paired is None:
            continue
        pair = score.paired
        passed = pair.difference > -MOST_UNREFUSED or _is_chance(pair)
        value = f"{score.tuned} after {score.base}, p = {pair.p_value():.3f}"
        bound = (
            f"at least {points(-MOST_UNREFUSED)} points, {points(-CHANCE_ROOM)} where chance "
            "explains it"
        )
        yield Gate(f"kept: {family}", passed, value, bound, False, ADVICE["refusal"])
    steady = found.pool.steady
    if steady is not None:
        k = found.pool.steady_k
        value = f"pass^{k} = {percent(steady)} (n = {found.pool.num_steady} questions)"
        bound = f"at least {percent(LEAST_STEADY)}, or what the base can do"
        base = _base_ceiling(found)
        passed = steady >= min(LEAST_STEADY, base)
        yield Gate("steady", passed, value, bound, False, ADVICE["steady"])


def _base_ceiling(found: Measured) -> float:
    """What the base can do at best over the identity families, as itself; 1 where unknown."""
    rates = [s.as_itself for s in found.families.values() if s.as_itself is not None]
    n = sum(rate.n for rate in rates)
    return sum(rate.num_passed for rate in rates) / n if n else 1.0
