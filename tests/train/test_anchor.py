"""KL to the teacher: its value and gradient, what is recorded, and what a training makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import (
    first_step,
    make_config,
    make_model,
    make_replay,
    make_rows,
    move,
    prepare,
    run_training,
)
from torch import nn

from selfcog.config.schema import AdapterSection, TeacherSection
from selfcog.events import StepEvent, TeacherEvent
from selfcog.model.adapter import adapter_off, add_adapter
from selfcog.model.load import load_model
from selfcog.train.anchor import Replay, plan_replay, record_teacher
from selfcog.train.batches import AnchoredExample, collate_packed
from selfcog.train.loss import Teacher, anchor_loss, token_loss
from selfcog.train.schedule import StepPlan

REPLAY = make_replay()


def teacher_of(logits_NV: torch.Tensor, top_k: int) -> Teacher:
    """What a model with these logits teaches, by float64 arithmetic."""
    logp_NV = logits_NV.double().log_softmax(-1)
    logp_NK, ids_NK = logp_NV.topk(min(top_k, logp_NV.shape[-1]))
    rest_N = logp_NV.exp().scatter(1, ids_NK, 0.0).sum(-1)
    return Teacher(ids_NK.int(), logp_NK.float(), rest_N.float())


def exact_kl(logits_NV: torch.Tensor, teacher: Teacher) -> torch.Tensor:
    """The sum over the places of KL over K tokens and the rest, in float64, for autograd."""
    logq_NV = logits_NV.double().log_softmax(-1)
    ids, logp_NK = teacher.ids_NK.long(), teacher.logp_NK.double()
    kl = (logp_NK.exp() * (logp_NK - logq_NV.gather(1, ids))).sum()
    if ids.shape[1] == logits_NV.shape[1]:
        return kl
    rest_N = teacher.rest_N.double()
    own_rest_N = logq_NV.scatter(1, ids, -torch.inf).logsumexp(-1)
    return kl + (torch.special.xlogy(rest_N, rest_N) - rest_N * own_rest_N).sum()


def random_logits(places: int, vocabulary: int, size: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(places, vocabulary, generator=generator)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


@pytest.mark.parametrize("chunk_rows", [1, 3, 10, 11, 12, None])
@pytest.mark.parametrize("top_k", [1, 5, 49, 50, 64])
def test_value_and_gradients_are_those_of_autograd(top_k: int, chunk_rows: int | None) -> None:
    torch.manual_seed(0)
    head = nn.Linear(8, 50)
    hidden = torch.randn(11, 8, requires_grad=True)
    teacher = teacher_of(2 * torch.randn(11, 50), top_k)
    wanted = exact_kl(head(hidden), teacher)
    (wanted / 7).backward()
    trained = (hidden, *head.parameters())
    grads = [parameter.grad for parameter in trained]
    for parameter in trained:
        parameter.grad = None

    found = anchor_loss(hidden, teacher, head, chunk_rows)
    (found.loss_sum / 7).backward()
    assert found.loss_sum.item() == pytest.approx(wanted.item(), rel=1e-5)
    likeliest = head(hidden).argmax(-1) == teacher.ids_NK[:, 0]
    assert found.num_correct.item() == likeliest.sum().item()
    for parameter, grad in zip(trained, grads, strict=True):
        assert distance(parameter.grad, grad) < 1e-5


def test_frozen_heads_and_bare_logits_give_the_same_gradient() -> None:
    torch.manual_seed(0)
    head = nn.Linear(8, 50).requires_grad_(False)
    hidden = torch.randn(6, 8, requires_grad=True)
    teacher = teacher_of(torch.randn(6, 50), 5)
    anchor_loss(hidden, teacher, head, 4).loss_sum.backward()
    logits = head(hidden.detach()).requires_grad_()
    anchor_loss(logits, teacher, None, 4).loss_sum.backward()
    assert distance(logits.grad @ head.weight, hidden.grad) < 1e-6


def test_bfloat16_logits_are_read_in_float32() -> None:
    """The value is exact for the rounded logits; the gradient is rounded once."""
    logits = random_logits(40, 3000, 2.0, 0).bfloat16().requires_grad_()
    teacher = teacher_of(logits.detach().float() + random_logits(40, 3000, 0.3, 1), 64)
    wanted = exact_kl(logits, teacher)
    wanted.backward()
    grad, logits.grad = logits.grad, None
    found = anchor_loss(logits, teacher, None, 16)
    found.loss_sum.backward()
    assert found.loss_sum.dtype == torch.float32
    assert found.loss_sum.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert distance(logits.grad, grad) < 5e-3


@pytest.mark.parametrize("top_k", [1, 16, 300])
@pytest.mark.parametrize("size", [0.0, 1.0, 20.0])
def test_nothing_is_lost_on_the_teacher_itself(top_k: int, size: float) -> None:
    logits = random_logits(20, 300, size, 0).requires_grad_()
    found = anchor_loss(logits, teacher_of(logits.detach(), top_k), None)
    found.loss_sum.backward()
    assert abs(found.loss_sum.item()) < 20 * 1e-6
    assert logits.grad.abs().max() < 1e-6
    assert found.num_correct == 20 or size == 0.0


SIZES = st.tuples(st.integers(1, 9), st.integers(2, 40))


@given(SIZES, st.integers(1, 45), st.floats(0.1, 6.0), st.integers(0, 999), st.integers(1, 10))
@settings(deadline=None, max_examples=60)
def test_any_logits_give_the_exact_value_and_gradient(
    shape: tuple[int, int], top_k: int, size: float, seed: int, chunk_rows: int
) -> None:
    logits = random_logits(*shape, size, seed).requires_grad_()
    teacher = teacher_of(random_logits(*shape, size, seed + 1), top_k)
    wanted = exact_kl(logits, teacher)
    wanted.backward()
    grad, logits.grad = logits.grad, None
    found = anchor_loss(logits, teacher, None, chunk_rows).loss_sum
    found.backward()
    assert found.item() == pytest.approx(wanted.item(), rel=2e-5, abs=1e-5)
    torch.testing.assert_close(logits.grad, grad, atol=1e-5, rtol=1e-4)


@given(SIZES, st.floats(0.1, 60.0), st.integers(0, 999))
@settings(deadline=None, max_examples=60)
def test_it_never_exceeds_the_whole_kl_and_grows_with_k(
    shape: tuple[int, int], size: float, seed: int
) -> None:
    """However far apart: finite, not below 0, and at K = V the whole."""
    logits, others = (random_logits(*shape, size, seed + i).requires_grad_() for i in range(2))
    one, other = logits.double().log_softmax(-1), others.double().log_softmax(-1)
    whole = (other.exp() * (other - one)).sum().item()
    values = []
    for top_k in (1, 2, 5, 17, shape[1]):
        found = anchor_loss(logits, teacher_of(others.detach(), top_k), None).loss_sum
        (grad,) = torch.autograd.grad(found, logits)
        assert grad.isfinite().all()
        values.append(found.item())
    slack = 1e-5 * (1 + whole)
    assert values[0] >= -slack
    assert all(fewer <= more + slack for fewer, more in pairwise(values))
    assert max(values) <= whole + slack
    assert values[-1] == pytest.approx(whole, abs=slack)


def test_weights_count_a_token_so_many_times() -> None:
    torch.manual_seed(0)
    head = nn.Linear(8, 50)
    hidden = torch.randn(11, 8, requires_grad=True)
    targets, weights = torch.randint(0, 50, (11,)), torch.rand(11) * 3
    each = nn.functional.cross_entropy(head(hidden), targets, reduction="none")
    wanted = (each * weights).sum()
    wanted.backward()
    trained = (hidden, *head.parameters())
    grads = [parameter.grad for parameter in trained]
    for parameter in trained:
        parameter.grad = None
    found = token_loss(hidden, targets, head, 4, weights_N=weights)
    found.loss_sum.backward()
    assert found.loss_sum.item() == pytest.approx(wanted.item(), rel=1e-6)
    # An accuracy is a share of tokens, whatever they count.
    assert found.num_correct == (head(hidden).argmax(-1) == targets).sum()
    for parameter, grad in zip(trained, grads, strict=True):
        torch.testing.assert_close(parameter.grad, grad)


WAYS: dict[str, dict[str, Any]] = {
    "packed": {},
    "packed into several": {"tokens_per_batch": 60},
    "padded": {"packing": False, "per_device_train_batch_size": 3},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_recorded_is_the_model_itself(
    tiny_model_dir: Path, tmp_path: Path, way: str, dtype: str
) -> None:
    """Each row gets its own, whatever rows it was computed with."""
    config = make_config(train=WAYS[way])
    model = load_model(tiny_model_dir, device="cpu", torch_dtype=dtype)
    parts = prepare(tiny_model_dir, tmp_path, config, make_rows())
    if dtype == "bfloat16":
        parts.forward.model.base_model.model.to(torch.bfloat16)
        parts.forward.compute_dtype = model.dtype
    parts.forward.model.train()
    rows = [replace(row, weight=1.0, kind="replay") for row in make_rows(7, seed=5)]
    # A place that the model is not sure of at all, one token to learn, and none.
    ids = rows[0].input_ids
    rows += [replace(rows[0], labels=[-100] * (len(ids) - 1) + ids[-1:])]
    rows += [replace(rows[0], labels=[-100] * len(ids))]
    anchored, event = record_teacher(parts.forward, rows, 16, parts.shards)
    assert parts.forward.model.training
    assert [replace(one, teacher=None) for one in anchored] == [as_anchored(row) for row in rows]
    places = sum(row.num_supervised for row in rows)
    assert (event.num_rows, event.num_places, event.top_k) == (9, places, 16)
    assert event.num_bytes == places * (16 * 8 + 4)
    batches = [one for one in parts.forward.batches(anchored) if one.num_targets]
    assert all(len(one.teacher.rest_N) == one.num_targets for one in batches)
    parts.forward.model.eval()
    total = sum(parts.forward.loss(one).loss_sum.item() for one in batches)
    assert abs(total) / places < (1e-6 if dtype == "float32" else 2e-3)
    parts.forward.token_budget = 10
    alone, _ = record_teacher(parts.forward, rows, 16, parts.shards)
    for one, other in zip(anchored, alone, strict=True):
        noise = 1e-5 if dtype == "float32" else 5e-2
        torch.testing.assert_close(
            one.teacher.logp_NK, other.teacher.logp_NK, atol=noise, rtol=noise
        )


def as_anchored(row: Any) -> AnchoredExample:
    return AnchoredExample(
        row.input_ids, row.labels, row.kind, row.source, row.line, row.weight, None
    )


def test_more_tokens_than_there_are_are_not_recorded(tiny_model_dir: Path, tmp_path: Path) -> None:
    parts = prepare(tiny_model_dir, tmp_path, make_config(), make_rows())
    [row], _ = record_teacher(parts.forward, REPLAY[:1], 10**6, parts.shards)
    size = parts.forward.base.config.vocab_size
    assert row.teacher is not None and row.teacher.ids_NK.shape == (row.num_supervised, size)
    assert row.teacher.rest_N.abs().max() == 0


def test_a_row_without_a_teacher_is_learnt_as_text() -> None:
    plain = make_rows(2)
    taught = [
        replace(as_anchored(row), teacher=teacher_of(torch.randn(row.num_supervised, 9), 3))
        for row in plain
    ]
    assert collate_packed(taught).teacher is not None
    assert collate_packed([taught[0], plain[1]]).teacher is None


def test_the_first_step_of_a_new_adapter_loses_nothing(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    """The teacher is the base; dropout acts on an adapter that changes nothing yet."""
    events: list[Any] = []
    config = make_config(adapter={"lora_dropout": 0.3}, train={"max_steps": 5})
    model = add_adapter(load_model(tiny_model_dir, torch_dtype="float32"), config.adapter)
    run_training(tiny_model_dir, tmp_path, config, model=model, events=events, replay_rows=REPLAY)
    losses = [event.replay_loss for event in events if isinstance(event, StepEvent)]
    assert abs(losses[0]) < 1e-6 < min(losses[1:])
    [recorded] = [event for event in events if isinstance(event, TeacherEvent)]
    assert recorded.num_rows == len(REPLAY) and recorded.top_k == 64


def test_a_continued_training_has_the_teacher_of_its_beginning(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    config = make_config(train={"max_steps": 4}, output={"save_only_model": False})
    run_training(tiny_model_dir, tmp_path / "run", config, replay_rows=REPLAY)
    first = prepare(tiny_model_dir, tmp_path / "new", config, make_rows(), REPLAY)
    again = prepare(
        tiny_model_dir,
        tmp_path / "run",
        config,
        make_rows(),
        REPLAY,
        resume_from=tmp_path / "run" / "checkpoint-4",
    )
    weights = (first.weights.named, again.weights.named)
    moved = [not torch.equal(weights[0][name], weights[1][name]) for name in weights[0]]
    assert any(moved) and again.keeper.state.step == 4
    for one, other in zip(first.replay.rows, again.replay.rows, strict=True):
        assert torch.equal(one.teacher.ids_NK, other.teacher.ids_NK)
        assert torch.equal(one.teacher.logp_NK, other.teacher.logp_NK)
        assert torch.equal(one.teacher.rest_N, other.teacher.rest_N)


@pytest.mark.parametrize("loss", ["kl", "ce"])
@pytest.mark.parametrize(
    "way",
    [
        {"tokens_per_batch": 4096},
        {"tokens_per_batch": 60},
        {"packing": False, "per_device_train_batch_size": 3},
        {"packing": False, "per_device_train_batch_size": 3, "gradient_checkpointing": True},
    ],
    ids=str,
)
def test_the_gradient_of_replay_rows_does_not_depend_on_batching(
    tiny_model_dir: Path, tmp_path: Path, way: dict[str, Any], loss: str
) -> None:
    def step(**train: Any) -> Any:
        teacher = {"replay_ratio": 1.0, "replay_loss": loss, "kl_top_k": 64}
        config = make_config(train=train, teacher=teacher)
        rows = make_rows(16)
        return first_step(tiny_model_dir, tmp_path, config, rows, REPLAY, texts=False)

    wanted = step(packing=False, per_device_train_batch_size=1)
    found = step(**way)
    assert wanted.replay_loss > 1e-3
    assert found.replay_loss == pytest.approx(wanted.replay_loss, rel=1e-5)
    assert distance(found.gradient, wanted.gradient) < 1e-5


@pytest.mark.parametrize("tuner", ["lora", "full"])
def test_a_step_is_the_mean_loss_plus_the_weighted_mean_kl(
    tiny_model_dir: Path, tmp_path: Path, tuner: str
) -> None:
    """Against a plain loop of autograd over whole distributions, without anything of ours."""
    config = make_config(
        adapter={"tuner_type": tuner},
        train={"global_batch_size": 16},
        teacher={"kl_weight": 3.0, "replay_ratio": 0.25, "kl_top_k": 10**6},
    )
    rows = make_rows(16)
    found = first_step(tiny_model_dir, tmp_path, config, rows, REPLAY)
    before, after = make_model(tiny_model_dir, config), make_model(tiny_model_dir, config)
    trained = {name: p for name, p in after.named_parameters() if p.requires_grad}
    generator = torch.Generator().manual_seed(3)
    for parameter in trained.values():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)

    def logits(model: Any, row: Any) -> torch.Tensor:
        found = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
        return found[torch.tensor(row.labels[1:]) >= 0]

    text = sum(
        nn.functional.cross_entropy(
            logits(after, row), torch.tensor([t for t in row.labels[1:] if t >= 0]), reduction="sum"
        )
        for row in rows
    ) / sum(row.num_supervised for row in rows)
    plan = plan_replay(REPLAY, config.teacher, StepPlan.make(16, 16, 1, seed=config.train.seed))
    chosen = plan.rows_of(0)
    assert len(chosen) == 4
    kl: Any = 0.0
    for row in chosen:
        p = logits(before, row).detach().log_softmax(-1)
        kl = kl + (p.exp() * (p - logits(after, row).log_softmax(-1))).sum()
    kl = kl / sum(row.num_supervised for row in chosen)
    (text + 3.0 * kl).backward()
    assert found.loss == pytest.approx(text.item(), rel=1e-5)
    assert found.replay_loss == pytest.approx(kl.item(), rel=1e-4)
    wanted = torch.cat([parameter.grad.flatten() for parameter in trained.values()])
    assert distance(found.gradient, wanted) < 1e-5


@given(st.integers(1, 40), st.integers(1, 20), st.floats(0.05, 3.0), st.integers(0, 5), st.data())
@settings(deadline=None, max_examples=40)
def test_which_rows_are_replayed_follows_from_seed_and_step(
    num_rows: int, per_step: int, ratio: float, seed: int, data: st.DataObject
) -> None:
    rows = make_rows(num_rows)
    wishes = TeacherSection(replay_ratio=ratio)
    steps = StepPlan.make(100, per_step, 1, seed=seed)

    def plan() -> Replay:
        found = plan_replay(rows, wishes, steps)
        assert found is not None
        return found

    whole = [plan().rows_of(step) for step in range(12)]
    step = data.draw(st.integers(0, 11))
    assert plan().rows_of(step) == whole[step]
    number = min(max(round(ratio * per_step), 1), num_rows)
    assert all(0 < len(one) <= number for one in whole) and len(whole[0]) == number
    # An epoch has every row once, and only then comes a row again.
    lines = [row.line for one in whole for row in one]
    first = lines[:num_rows]
    assert len(set(first)) == len(first)


def test_replay_rows_come_in_an_order_of_their_own() -> None:
    rows = make_rows(30)
    steps = StepPlan.make(30, 5, 3, seed=7)
    found = plan_replay(rows, TeacherSection(replay_ratio=1.0), steps)
    assert found is not None and found.plan.num_steps == steps.num_steps
    mine = [row.line - 1 for step in range(6) for row in found.rows_of(step)]
    assert mine != [index for step in range(6) for index in steps.examples(step)]
    other = plan_replay(rows, TeacherSection(replay_ratio=1.0), replace(steps, seed=8))
    assert other is not None and other.rows_of(0) != found.rows_of(0)


def test_no_rows_or_no_weight_is_no_replay(tiny_model_dir: Path, tmp_path: Path) -> None:
    steps = StepPlan.make(30, 5, 3)
    assert plan_replay([], TeacherSection(), steps) is None
    assert plan_replay(REPLAY, TeacherSection(kl_weight=0.0), steps) is None
    events: list[Any] = []
    config = make_config(train={"max_steps": 1}, teacher={"kl_weight": 0.0})
    run_training(tiny_model_dir, tmp_path, config, events=events, replay_rows=REPLAY)
    assert not any(isinstance(event, TeacherEvent) for event in events)
    [step] = [event for event in events if isinstance(event, StepEvent)]
    assert step.replay_loss is None


@pytest.mark.parametrize("adapter", [{}, {"use_rslora": True}], ids=["lora", "rslora"])
def test_the_base_is_the_model_with_its_adapter_off_bit_for_bit(
    tiny_model_dir: Path, adapter: dict[str, Any]
) -> None:
    ids = torch.arange(3, 40)[None]
    base = load_model(tiny_model_dir, torch_dtype="float32")
    with torch.no_grad():
        wanted = base(ids).logits
        tuned = add_adapter(base, AdapterSection(lora_rank=4, **adapter))
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.1)
        assert not torch.allclose(tuned(ids).logits, wanted, atol=1e-2)
        with adapter_off(tuned):
            assert torch.equal(tuned(ids).logits, wanted)


Train = Callable[[float], tuple[list[Any], Any]]


@pytest.fixture
def train_fully(tiny_model_dir: Path, tmp_path: Path) -> Train:
    def run(weight: float) -> tuple[list[Any], Any]:
        events: list[Any] = []
        config = make_config(
            adapter={"tuner_type": "full"}, train={"max_steps": 12}, teacher={"kl_weight": weight}
        )
        run_training(
            tiny_model_dir, tmp_path / f"{weight}", config, events=events, replay_rows=REPLAY
        )
        return [event.replay_loss for event in events if isinstance(event, StepEvent)], events

    return run


def test_full_training_is_held_back_by_its_replay_rows(train_fully: Train) -> None:
    free, _ = train_fully(1e-6)
    held, events = train_fully(10.0)
    assert any(isinstance(event, TeacherEvent) for event in events)
    assert abs(free[0]) < 1e-6 and abs(held[0]) < 1e-6
    assert 0 < sum(held[-3:]) < 0.5 * sum(free[-3:])


def test_recorded_rows_hold_for_a_model_that_moves(tiny_model_dir: Path, tmp_path: Path) -> None:
    """The loss of moved weights is the KL of what was recorded, not of what is now."""
    parts = prepare(tiny_model_dir, tmp_path, make_config(), make_rows(), REPLAY)
    forward, [row] = parts.forward, parts.replay.rows[:1]
    [batch] = forward.batches([row])
    with torch.no_grad():
        before = torch.cat(list(forward.log_probabilities(batch))).double()
        move(parts.weights)
        after = torch.cat(list(forward.log_probabilities(batch)))
        found = forward.loss(batch).loss_sum.item()
    assert found == pytest.approx(exact_kl(after, row.teacher).item(), rel=1e-4)
    whole = (before.exp() * (before - after.double())).sum().item()
    assert 0 < found <= whole + 1e-5
