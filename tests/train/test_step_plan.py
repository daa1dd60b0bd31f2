"""The arithmetic of steps, learning rates and kept checkpoints: pure functions, closed forms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfcog.config.schema import TrainSection
from selfcog.train.checkpoint import steps_to_drop
from selfcog.train.schedule import (
    RateSchedule,
    StepPlan,
    count_warmup,
    default_learning_rate,
)


def test_the_tutorials_run_has_282_steps_on_8_ranks() -> None:
    per_step = TrainSection(per_device_train_batch_size=1).examples_per_step(8)
    plan = StepPlan.make(1500, per_step, 3.0)
    assert (per_step, plan.steps_per_epoch, plan.num_steps) == (16, 94, 282)
    assert plan.epochs_after(282) == 3.0


def test_saving_every_ten_steps_keeps_best_and_last_of_all_candidates() -> None:
    candidates = [step for step in range(1, 283) if step % 10 == 0 or step == 282]
    assert candidates[:3] == [10, 20, 30] and candidates[-2:] == [280, 282]
    for best_at_the_end in (280, 150):
        on_disk: list[int] = []
        for step in candidates:
            best = min(step, best_at_the_end)  # it gets better until then
            on_disk.append(step)
            on_disk = [s for s in on_disk if s not in steps_to_drop(on_disk, best, 2)]
            assert {best, step} <= set(on_disk) and len(on_disk) <= 2
        assert on_disk == [best_at_the_end, 282]


@pytest.mark.parametrize(
    ("best", "limit", "dropped"),
    [(10, 2, [20, 30]), (10, 3, [20]), (None, 2, [10, 20]), (20, 1, [10, 30]), (10, None, [])],
)
def test_steps_to_drop(best: int | None, limit: int | None, dropped: list[int]) -> None:
    assert steps_to_drop([10, 20, 30, 40], best, limit) == dropped


@given(
    saved=st.lists(st.integers(1, 99), unique=True).map(sorted),
    best=st.integers(1, 99),
    limit=st.integers(1, 5),
)
def test_dropping_never_takes_best_or_last(saved: list[int], best: int, limit: int) -> None:
    dropped = steps_to_drop(saved, best, limit)
    kept = set(saved) - set(dropped)
    assert best not in dropped
    assert not saved or saved[-1] in kept
    assert len(kept) <= max(limit, 2) and len(kept) >= min(limit, len(saved))


@given(
    count=st.integers(1, 60),
    per_step=st.integers(1, 20),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 3),
)
def test_an_epoch_takes_every_example_once(
    count: int, per_step: int, seed: int, epoch: int
) -> None:
    plan = StepPlan.make(count, per_step, 4.0, seed=seed)
    first = epoch * plan.steps_per_epoch
    steps = [plan.examples(first + index) for index in range(plan.steps_per_epoch)]
    assert sorted(index for step in steps for index in step) == list(range(count))
    assert all(len(step) == per_step for step in steps[:-1])


def test_order_depends_on_seed_and_epoch_only() -> None:
    plan, same = (StepPlan.make(50, 50, 2.0, seed=3) for _ in range(2))
    assert plan.examples(0) == same.examples(0)
    assert plan.examples(0) != plan.examples(1)
    assert plan.examples(0) != StepPlan.make(50, 50, 2.0, seed=4).examples(0)
    smaller_steps = StepPlan.make(50, 10, 2.0, seed=3)
    assert [i for step in range(5) for i in smaller_steps.examples(step)] == plan.examples(0)


@pytest.mark.parametrize(
    ("epochs", "max_steps", "steps"), [(1.5, -1, 15), (1.1, -1, 11), (0.01, -1, 1), (3.0, 7, 7)]
)
def test_number_of_steps(epochs: float, max_steps: int, steps: int) -> None:
    assert StepPlan.make(40, 4, epochs, max_steps).num_steps == steps


def test_rates_follow_their_closed_forms() -> None:
    for course, middle in (("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)):
        schedule = RateSchedule(peak=2e-3, num_steps=30, num_warmup=10, course=course)
        rise = [schedule.rate(step) for step in range(10)]
        assert rise == pytest.approx([2e-3 * (step + 1) / 11 for step in range(10)])
        assert schedule.rate(10) == pytest.approx(2e-3)
        assert schedule.rate(20) == pytest.approx(2e-3 * middle)
        assert schedule.rate(29) > 0
    cosine = RateSchedule(1.0, 8, 0, "cosine")
    wanted = [0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert [cosine.rate(step) for step in range(8)] == pytest.approx(wanted)
    linear = RateSchedule(1.0, 8, 0, "linear")
    assert [linear.rate(step) for step in range(8)] == pytest.approx(
        [1 - step / 8 for step in range(8)]
    )


def test_warmup_in_steps_wins_over_a_share() -> None:
    assert count_warmup(282, 0.05, None) == 15
    assert count_warmup(282, 0.05, 3) == 3
    assert count_warmup(282, 0.4, 0) == 0


def test_default_rate_follows_the_width() -> None:
    widths = (64, 256, 1024, 5120, 8192)
    rates = [default_learning_rate(width, "lora") for width in widths]
    assert rates == pytest.approx([2e-3, 2e-3, 5e-4, 1e-4, 1e-4])
    assert default_learning_rate(1024, "full") == pytest.approx(5e-5)
