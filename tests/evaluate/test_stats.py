"""Rates, intervals and tests: against fixed values, against scipy and statsmodels, by property."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfcog.evaluate.stats import (
    Interval,
    PairedRates,
    Rate,
    binomial_cdf,
    bootstrap_interval,
    clopper_pearson_interval,
    events_upper,
    holm,
    mcnemar_exact,
    newcombe_paired_interval,
    pass_hat_k,
    wilson_interval,
    zero_events_upper,
)

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
pairs = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda cells: sum(cells) > 0)


def near(value: float) -> object:
    return pytest.approx(value, abs=1e-9)


def test_a_rate_is_printed_with_its_n_and_interval_only() -> None:
    rate = Rate(195, 200)
    assert str(rate) == "97.5 % (195/200, 94.3–98.9)"
    assert f"{rate}" == str(rate)
    assert str(Rate(30, 30)) == "100.0 % (30/30, 88.6–100.0)"
    assert str(Rate(0, 0)) == "– (0/0)"
    assert f"{Rate(1, 1):>40}".endswith(str(Rate(1, 1)))
    assert math.isnan(Rate(0, 0).share)
    for spec in (".1f", ".0%", "d"):
        with pytest.raises(ValueError, match="only a width"):
            format(rate, spec)
    with pytest.raises(TypeError):
        float(rate)  # type: ignore[arg-type]


@pytest.mark.parametrize(("passed", "n"), [(3, 2), (-1, 5), (0.5, 2), (True, 2), (0, -1)])
def test_a_rate_of_impossible_counts_cannot_be_built(passed: int, n: int) -> None:
    with pytest.raises(ValueError, match="a rate needs whole numbers"):
        Rate(passed, n)


# Computed with statsmodels 0.14 (proportion_confint, methods "wilson" and "beta").
@pytest.mark.parametrize(
    ("passed", "n", "wilson", "exact"),
    [
        (
            195,
            200,
            (0.942821659593358, 0.9892752803482386),
            (0.9426256488731541, 0.9918338338091575),
        ),
        (30, 30, (0.8864866068260311, 1.0), (0.8842966917779722, 1.0)),
        (
            299,
            300,
            (0.9813633063054688, 0.9994113422781488),
            (0.9815687479519322, 0.9999156108676822),
        ),
        (
            5,
            10,
            (0.23659309051256394, 0.7634069094874361),
            (0.18708602844739855, 0.8129139715526015),
        ),
        (0, 7, (0.0, 0.3543304350666875), (0.0, 0.4096163972250034)),
    ],
)
def test_intervals_of_one_rate_have_the_reference_values(
    passed: int, n: int, wilson: tuple[float, float], exact: tuple[float, float]
) -> None:
    found = wilson_interval(passed, n)
    assert (found.low, found.high) == (near(wilson[0]), near(wilson[1]))
    found = clopper_pearson_interval(passed, n)
    assert (found.low, found.high) == (near(exact[0]), near(exact[1]))


def test_the_upper_limit_for_no_events() -> None:
    assert zero_events_upper(300) == near(1 - 0.05 ** (1 / 300))
    assert round(zero_events_upper(300), 4) == 0.0099
    assert round(zero_events_upper(300, alpha=0.025), 4) == 0.0122
    assert zero_events_upper(0) == 1.0
    assert events_upper(0, 150) == zero_events_upper(150)
    # One event in 150: the root of P(X ≤ 1) = 0.05.
    assert binomial_cdf(1, 150, events_upper(1, 150)) == near(0.05)


# Binomial tails over powers of two, by hand: 2 · 1/2^5, 2 · 1/2^6, 2 · 10/2^9, …
@pytest.mark.parametrize(
    ("b", "c", "p"),
    [(5, 0, 1 / 16), (6, 0, 1 / 32), (8, 1, 20 / 512), (10, 2, 158 / 4096), (3, 3, 1), (0, 0, 1)],
)
def test_mcnemar_has_the_exact_values(b: int, c: int, p: float) -> None:
    assert mcnemar_exact(b, c) == near(p)


def test_paired_interval_has_the_reference_values() -> None:
    # Fagerland, Lydersen and Laake 2014: airway reactivity of 21 children (1, 1, 7, 12).
    found = newcombe_paired_interval(1, 1, 7, 12)
    assert (round(found.low, 3), round(found.high, 3)) == (-0.507, -0.026)
    # Wilson limits as roots by bisection, then the formula by hand, with φ > 0.
    found = newcombe_paired_interval(20, 12, 2, 16)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0562, 0.3292)


def test_paired_rates_count_item_by_item() -> None:
    found = PairedRates.of([True, True, False, False, True], [True, False, True, False, True])
    assert found == PairedRates(both=2, only_base=1, only_tuned=1, neither=1)
    assert (found.base, found.tuned, found.flips) == (Rate(3, 5), Rate(3, 5), Rate(2, 5))
    assert found.p_value() == 1 and found.difference == 0
    assert PairedRates(0, 0, 6, 0).p_value() == near(1 / 32)
    worse = PairedRates(10, 8, 0, 2)
    assert worse.difference == -0.4 and worse.interval().high < 0
    with pytest.raises(ValueError, match="equally many items"):
        PairedRates.of([True], [])


def test_holm_has_the_hand_computed_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005, 0.5]) == [near(p) for p in (0.04, 0.09, 0.09, 0.025, 0.5)]
    assert holm([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])


def test_pass_hat_k_has_the_hand_computed_values() -> None:
    # Questions with 5, 4 and 3 of 5 right: pairs 10/10, 6/10, 3/10.
    assert pass_hat_k([5, 4, 3], [5, 5, 5], 2) == near((1 + 0.6 + 0.3) / 3)
    assert pass_hat_k([5, 4], [5, 5], 5) == 0.5
    assert pass_hat_k([4, 1], [5, 5], 1) == near(0.5)
    with pytest.raises(ValueError, match="1 ≤ k"):
        pass_hat_k([1], [2], 3)


def test_the_bootstrap_draws_whole_clusters() -> None:
    # Within a cluster all items are equal, so means are those of 4 draws: multiples of 1/4.
    values = [1.0] * 10 + [0.0] * 10 + [1.0] * 20
    clusters = ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"] * 10
    found = bootstrap_interval(values, clusters, seed=3)
    assert found.low * 4 == round(found.low * 4) and found.high == 1.0
    alone = bootstrap_interval(values, range(40), seed=3)
    assert alone.high - alone.low < found.high - found.low
    assert found == bootstrap_interval(values, clusters, seed=3)
    assert bootstrap_interval([1.0, 0.0], ["t", "t"], seed=0) == Interval(0.5, 0.5)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval([], [], seed=0)


def test_the_bootstrap_agrees_with_the_normal_interval_on_single_items() -> None:
    values = [1.0] * 160 + [0.0] * 40
    found = bootstrap_interval(values, range(200), seed=0, num_resamples=4000)
    half = 1.96 * math.sqrt(0.8 * 0.2 / 200)
    assert found.low == pytest.approx(0.8 - half, abs=0.01)
    assert found.high == pytest.approx(0.8 + half, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(counts)
def test_intervals_hold_the_rate_and_mirror(count: tuple[int, int]) -> None:
    passed, n = count
    for interval in (wilson_interval, clopper_pearson_interval):
        found, mirror = interval(passed, n), interval(n - passed, n)
        assert 0 <= found.low <= passed / n <= found.high <= 1
        assert found.low == pytest.approx(1 - mirror.high, abs=1e-9)
        wider, more = interval(passed, n, 0.01), interval(4 * passed, 4 * n)
        assert wider.low <= found.low and found.high <= wider.high
        assert more.high - more.low < found.high - found.low


@settings(max_examples=50, deadline=None)
@given(pairs)
def test_paired_interval_holds_the_difference_and_mirrors(cells: tuple[int, ...]) -> None:
    a, b, c, d = cells
    found, mirror = newcombe_paired_interval(a, b, c, d), newcombe_paired_interval(a, c, b, d)
    assert -1 <= found.low <= (b - c) / sum(cells) + 1e-12
    assert (b - c) / sum(cells) - 1e-12 <= found.high <= 1
    assert found.low == pytest.approx(-mirror.high, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_symmetric_and_falls_with_imbalance(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)
    assert 0 < mcnemar_exact(b, c) <= 1
    low, high = sorted((b, c))
    assert mcnemar_exact(low, high + 1) <= mcnemar_exact(low, high)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_order_and_never_lowers(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    ranked = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in ranked] == sorted(adjusted)
    bonferroni = [min(1.0, len(p_values) * p) for p in p_values]
    assert all(p <= a <= b + 1e-12 for p, a, b in zip(p_values, adjusted, bonferroni, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 8), st.integers(1, 7))
def test_pass_hat_k_falls_with_k(passed: int, k: int) -> None:
    assert pass_hat_k([passed], [8], k + 1) <= pass_hat_k([passed], [8], k)


@settings(max_examples=40, deadline=None)
@given(counts)
def test_one_rate_agrees_with_statsmodels(count: tuple[int, int]) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for method, interval in (("wilson", wilson_interval), ("beta", clopper_pearson_interval)):
        low, high = proportion.proportion_confint(*count, method=method)
        found = interval(*count)
        assert (found.low, found.high) == (near(float(low)), near(float(high)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 80), st.integers(0, 80), st.floats(0.01, 0.99))
def test_binomial_tails_agree_with_scipy(b: int, c: int, rate: float) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    assert binomial_cdf(b, b + c, rate) == near(float(scipy_stats.binom.cdf(b, b + c, rate)))
    if b + c:
        assert mcnemar_exact(b, c) == near(float(scipy_stats.binomtest(b, b + c).pvalue))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    assert holm(p_values) == [
        near(float(p)) for p in multitest.multipletests(p_values, method="holm")[1]
    ]
