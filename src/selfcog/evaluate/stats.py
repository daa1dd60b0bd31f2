"""Statistics of the scorecard: rates that carry their n, intervals, paired tests.

All intervals are two-sided with confidence 1 − alpha unless a name says otherwise. Rates and
limits are shares between 0 and 1; only the text forms are in per cent. Standard library and numpy.

Sources: Wilson 1927 and Newcombe 1998a (one rate); Clopper and Pearson 1934 (exact limits);
McNemar 1947 in its exact form; Newcombe 1998b, method 10 (matched rates); Holm 1979; Field and
Welsh 2007 (bootstrap by cluster); Yao et al. 2024, arXiv 2406.12045 (pass^k).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Interval:
    """A lower and an upper limit; ``low`` ≤ ``high``."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Rate:
    """``num_passed`` of ``n`` trials. There is no way to print its share without n and interval.

    ``str`` gives "97.5 % (195/200, 94.3–98.9)": share, counts, Wilson 95 % limits in per cent; a
    rate of nothing is "– (0/0)". ``share`` is for comparing, not for printing.

    Raises ValueError unless both are whole numbers and 0 ≤ num_passed ≤ n.
    """

    num_passed: int
    n: int

    def __post_init__(self) -> None:
        counts = (self.num_passed, self.n)
        whole = all(isinstance(one, int) and not isinstance(one, bool) for one in counts)
        if not whole or not 0 <= self.num_passed <= self.n:
            raise ValueError(
                f"a rate needs whole numbers with 0 ≤ num_passed ≤ n, found "
                f"{self.num_passed!r} of {self.n!r}; count the trials"
            )

    @classmethod
    def of(cls, passed: Sequence[bool]) -> Rate:
        """The rate of True among the trials."""
        return cls(sum(map(bool, passed)), len(passed))

    @property
    def share(self) -> float:
        """num_passed / n; NaN when n is 0."""
        return self.num_passed / self.n if self.n else float("nan")

    def interval(self, alpha: float = ALPHA) -> Interval:
        """The Wilson interval; 0 to 1 when n is 0."""
        return wilson_interval(self.num_passed, self.n, alpha)

    def __str__(self) -> str:
        if not self.n:
            return "– (0/0)"
        limits = self.interval()
        return (
            f"{100 * self.share:.1f} % ({self.num_passed}/{self.n}, "
            f"{100 * limits.low:.1f}–{100 * limits.high:.1f})"
        )

    def __format__(self, spec: str) -> str:
        if spec.strip("<>^0123456789"):
            raise ValueError(f"a rate takes only a width, found {spec!r}; use str(rate)")
        return format(str(self), spec)


@dataclass(frozen=True, slots=True)
class PairedRates:
    """Base against tuned on the same n items, by what each of the two got right."""

    both: int
    only_base: int
    only_tuned: int
    neither: int

    @classmethod
    def of(cls, base: Sequence[bool], tuned: Sequence[bool]) -> PairedRates:
        """Count item by item. Raises ValueError when the two differ in length."""
        if len(base) != len(tuned):
            raise ValueError(
                f"pairs need equally many items, found {len(base)} and {len(tuned)}; "
                f"score both models on the same questions"
            )
        pairs = [(bool(one), bool(other)) for one, other in zip(base, tuned, strict=True)]
        return cls(
            pairs.count((True, True)),
            pairs.count((True, False)),
            pairs.count((False, True)),
            pairs.count((False, False)),
        )

    @property
    def n(self) -> int:
        """Number of items."""
        return self.both + self.only_base + self.only_tuned + self.neither

    @property
    def base(self) -> Rate:
        """The base's rate."""
        return Rate(self.both + self.only_base, self.n)

    @property
    def tuned(self) -> Rate:
        """The tuned model's rate."""
        return Rate(self.both + self.only_tuned, self.n)

    @property
    def flips(self) -> Rate:
        """Items that changed between right and wrong, in either direction."""
        return Rate(self.only_base + self.only_tuned, self.n)

    @property
    def difference(self) -> float:
        """tuned − base; NaN when n is 0."""
        return (self.only_tuned - self.only_base) / self.n if self.n else float("nan")

    def interval(self, alpha: float = ALPHA) -> Interval:
        """Of the difference tuned − base; see `newcombe_paired_interval`."""
        return newcombe_paired_interval(
            self.both, self.only_tuned, self.only_base, self.neither, alpha
        )

    def p_value(self) -> float:
        """Exact two-sided McNemar test of no difference."""
        return mcnemar_exact(self.only_base, self.only_tuned)


def z_value(alpha: float = ALPHA) -> float:
    """The standard normal quantile at 1 − alpha / 2; 1.96 for 0.05."""
    _check_alpha(alpha)
    return NormalDist().inv_cdf(1 - alpha / 2)


def wilson_interval(num_passed: int, n: int, alpha: float = ALPHA) -> Interval:
    """Score interval of a rate: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    Wilson 1927, without continuity correction. (0, 1) when n is 0.
    """
    _check_counts(num_passed, n)
    z = z_value(alpha)
    if n == 0:
        return Interval(0.0, 1.0)
    share = num_passed / n
    centre = share + z * z / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # The limits at the ends are 0 and 1 exactly; rounding would miss them by 1e-17.
    low = 0.0 if num_passed == 0 else (centre - half) / scale
    high = 1.0 if num_passed == n else (centre + half) / scale
    return Interval(low, high)


def clopper_pearson_interval(num_passed: int, n: int, alpha: float = ALPHA) -> Interval:
    """Exact interval: the rates that a binomial test at alpha / 2 on each side does not reject."""
    _check_counts(num_passed, n)
    _check_alpha(alpha)
    low, high = 0.0, 1.0
    if num_passed > 0:
        low = _bisect(lambda rate: 1 - binomial_cdf(num_passed - 1, n, rate) < alpha / 2)
    if num_passed < n:
        high = _bisect(lambda rate: binomial_cdf(num_passed, n, rate) > alpha / 2)
    return Interval(low, high)


def zero_events_upper(n: int, alpha: float = ALPHA) -> float:
    """Exact one-sided upper limit of a rate of which none of n trials showed an event.

    1 − alpha^(1/n), the solution of (1 − p)^n = alpha (Clopper and Pearson 1934; about 3/n).
    1 when n is 0.
    """
    _check_counts(0, n)
    _check_alpha(alpha)
    return 1 - alpha ** (1 / n) if n else 1.0


def events_upper(num_events: int, n: int, alpha: float = ALPHA) -> float:
    """Exact one-sided upper limit of a rate; for no events that of `zero_events_upper`."""
    _check_counts(num_events, n)
    if num_events == 0:
        return zero_events_upper(n, alpha)
    return clopper_pearson_interval(num_events, n, 2 * alpha).high


def binomial_cdf(successes: int, n: int, rate: float) -> float:
    """P(X ≤ successes) for X binomial(n, rate)."""
    if successes >= n or rate <= 0:
        return 1.0
    if successes < 0 or rate >= 1:
        return 0.0
    import numpy as np

    k = np.arange(n + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    logs = factorials[n] - factorials[k] - factorials[n - k]
    logs = logs + k * np.log(rate) + (n - k) * np.log1p(-rate)
    return float(min(1.0, np.exp(logs[: successes + 1]).sum()))


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar p of the discordant pairs: min(1, 2 P(X ≤ min(b, c))).

    X is binomial(b + c, 1/2), computed in whole numbers. 1 when no pair is discordant.
    """
    _check_counts(0, only_first)
    _check_counts(0, only_second)
    n = only_first + only_second
    tail = sum(comb(n, k) for k in range(min(only_first, only_second) + 1))
    return float(min(1.0, 2 * tail / 2**n)) if n else 1.0


def newcombe_paired_interval(
    both: int, only_first: int, only_second: int, neither: int, alpha: float = ALPHA
) -> Interval:
    """Interval of first − second for matched rates: Newcombe 1998b, method 10.

    Wilson limits of the two rates joined by their correlation φ, which is continuity corrected
    where positive and 0 where a margin is empty. (−1, 1) for no pairs.
    """
    n = both + only_first + only_second + neither
    first_passed, second_passed = both + only_first, both + only_second
    if n == 0:
        return Interval(-1.0, 1.0)
    first, second = first_passed / n, second_passed / n
    of_first = wilson_interval(first_passed, n, alpha)
    of_second = wilson_interval(second_passed, n, alpha)
    margins = first_passed * (n - first_passed) * second_passed * (n - second_passed)
    product = both * neither - only_first * only_second
    corrected = max(product - n / 2, 0) if product > 0 else product
    phi = corrected / sqrt(margins) if margins else 0.0
    down_first, up_first = first - of_first.low, of_first.high - first
    down_second, up_second = second - of_second.low, of_second.high - second
    down = down_first**2 - 2 * phi * down_first * up_second + up_second**2
    up = down_second**2 - 2 * phi * down_second * up_first + up_first**2
    difference = first - second
    return Interval(
        max(-1.0, difference - sqrt(max(down, 0.0))), min(1.0, difference + sqrt(max(up, 0.0)))
    )


def bootstrap_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    seed: int,
    num_resamples: int = 2000,
    alpha: float = ALPHA,
) -> Interval:
    """Percentile interval of the mean when items of one cluster (template) stand or fall together.

    Whole clusters are drawn with replacement, as many as there are; the statistic is the mean over
    all items drawn. The same seed gives the same interval, whatever the order of the items within
    clusters; the clusters count in order of first appearance. With few clusters (under about 20)
    the interval is too narrow; with one it is a point.

    Raises ValueError for no values, or lengths that differ.
    """
    _check_alpha(alpha)
    if len(values) == 0 or len(values) != len(clusters):
        raise ValueError(
            f"a bootstrap needs a cluster for each of at least one value, found "
            f"{len(values)} values and {len(clusters)} clusters"
        )
    import numpy as np

    order = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters))}
    index = np.array([order[cluster] for cluster in clusters])
    sums = np.bincount(index, weights=np.asarray(values, dtype=float))
    sizes = np.bincount(index)
    draws = np.random.default_rng(seed).integers(len(order), size=(num_resamples, len(order)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.quantile(means, [alpha / 2, 1 - alpha / 2])
    return Interval(float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given (Holm 1979).

    The i-th smallest (from 0) of m becomes the largest (m − j) p_j over j ≤ i, at most 1. Those
    at or under alpha are rejected with a family-wise error of at most alpha.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p values lie between 0 and 1, found {list(p_values)!r}")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def pass_hat_k(num_passed: Sequence[int], num_samples: Sequence[int], k: int) -> float:
    """pass^k: the mean over questions of the chance that k samples all pass.

    Estimated without bias as C(c, k) / C(n, k) for c of n samples passed (arXiv 2406.12045).
    NaN for no questions. Raises ValueError for k < 1 or a question with fewer than k samples.
    """
    for passed, n in zip(num_passed, num_samples, strict=True):
        _check_counts(passed, n)
        if not 1 <= k <= n:
            raise ValueError(f"pass^k needs 1 ≤ k ≤ samples, found k = {k} and {n} samples")
    shares = [comb(c, k) / comb(n, k) for c, n in zip(num_passed, num_samples, strict=True)]
    return sum(shares) / len(shares) if shares else float("nan")


def _bisect(is_left: Callable[[float], bool]) -> float:
    """The point in (0, 1) where a test that is True on the left turns False."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if is_left(middle) else (low, middle)
    return (low + high) / 2


def _check_counts(num_passed: int, n: int) -> None:
    if not 0 <= num_passed <= n:
        raise ValueError(f"counts need 0 ≤ number ≤ n, found {num_passed} of {n}")


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, found {alpha}")
