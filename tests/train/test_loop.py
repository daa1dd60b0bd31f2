"""Whole trainings of a tiny model: what they learn, write, keep, and refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import make_config, make_model, make_rows, run_training

from selfcog.errors import TrainError
from selfcog.events import (
    CheckpointEvent,
    EndEvent,
    EvalEvent,
    Event,
    StartEvent,
    StepEvent,
    WarningEvent,
)
from selfcog.runs import CheckpointInfo, RunDir
from selfcog.train.forward import Forward
from selfcog.train.loss import TokenLoss
from selfcog.train.optim import TrainableWeights, make_optimizer


def of_kind(events: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def losses(events: list[Event]) -> list[float]:
    return [event.loss for event in of_kind(events, StepEvent)]


def test_a_training_learns_and_says_so(tiny_model_dir: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    config = make_config(
        train={"num_train_epochs": 8.0, "learning_rate": 1e-2, "global_batch_size": 4},
        output={"eval_steps": 6, "logging_steps": 5},
    )
    rows = make_rows(10)
    result = run_training(
        tiny_model_dir, tmp_path, config, rows=rows, dev_rows=rows[:4], events=events
    )
    start, *_, end = events
    assert isinstance(start, StartEvent) and isinstance(end, EndEvent)
    assert (start.num_steps, start.examples_per_step, start.num_epochs) == (24, 4, 8.0)
    assert 0 < start.num_trainable_parameters < start.num_parameters
    steps = of_kind(events, StepEvent)
    assert [step.step for step in steps] == list(range(1, 25))
    assert steps[0].loss > 5 and steps[-1].loss < steps[0].loss - 0.4
    assert [step.num_supervised for step in steps[:3]][2] < steps[0].num_supervised  # a short one
    assert all(step.fill == 1.0 and 0 <= step.token_accuracy <= 1 for step in steps)
    assert [event.step for event in of_kind(events, EvalEvent)] == [6, 12, 18, 24]
    assert result.num_steps == 24
    assert result.metrics["loss"] < steps[0].loss and result.metrics["token_accuracy"] > 0
    assert end.status == "done" and end.last_checkpoint == str(result.last_checkpoint)
    state = json.loads((tmp_path / "run.json").read_text())
    assert (state["status"], state["step"]) == ("done", 24)


def test_checkpoint_is_what_peft_and_resume_need(tiny_model_dir: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    from selfcog.model.load import load_model, load_tokenizer

    config = make_config(train={"max_steps": 2})
    model = make_model(tiny_model_dir, config)
    result = run_training(tiny_model_dir, tmp_path, config, model=model)
    folder = result.last_checkpoint
    assert folder == tmp_path / "checkpoint-2" == result.best_checkpoint
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "adapter_model.safetensors",
        "adapter_config.json",
        "tokenizer.json",
        "checkpoint.json",
        "state/optimizer.safetensors",
        "state/weights.safetensors",
        "state/random.json",
        "state/trainer.json",
    } <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl", ".pth", "README.md")) for name in names)
    info = CheckpointInfo.read(folder)
    assert info is not None and (info.step, info.base_model) == (2, str(tiny_model_dir))
    assert json.loads((folder / "adapter_config.json").read_text())[
        "base_model_name_or_path"
    ] == str(tiny_model_dir)
    assert load_tokenizer(folder).chat_template
    loaded = PeftModel.from_pretrained(load_model(tiny_model_dir, device="cpu"), str(folder))
    ids = torch.arange(12)[None]
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=0, atol=0)
    assert not list(tmp_path.glob(".*"))  # no drafts left


def test_full_parameter_training(tiny_model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    events: list[Event] = []
    config = make_config(
        adapter={"tuner_type": "full"},
        train={"max_steps": 12, "learning_rate": 3e-3},
    )
    model = make_model(tiny_model_dir, config).to(torch.bfloat16)
    before = {name: p.clone() for name, p in model.named_parameters()}
    result = run_training(
        tiny_model_dir, tmp_path, config, model=model, rows=make_rows(8), events=events
    )
    assert losses(events)[-1] < losses(events)[0] - 0.5
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())
    # Trained as float32, given back and saved in the dtype it came with, tied weights once.
    tensors = load_file(result.last_checkpoint / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert "lm_head.weight" not in tensors
    loaded = AutoModelForCausalLM.from_pretrained(result.last_checkpoint, dtype=torch.bfloat16)
    for name, parameter in loaded.named_parameters():
        assert parameter.equal(dict(model.named_parameters())[name])
    assert not (result.last_checkpoint / "state").exists()  # all weights: not unless asked for


def test_best_and_last_stay(tiny_model_dir: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    values = {2: 0.5, 4: 0.1, 6: 0.9, 8: 0.3, 9: 0.4}
    config = make_config(
        train={"max_steps": 9},
        output={"eval_steps": 2, "metric_for_best_model": "loss", "save_total_limit": 2},
    )
    result = run_training(
        tiny_model_dir,
        tmp_path,
        config,
        events=events,
        evaluators=[lambda model, step: {"loss": values[step]}],
    )
    assert [event.step for event in of_kind(events, CheckpointEvent)] == [2, 4, 6, 8, 9]
    assert [step for step, _ in RunDir(tmp_path).checkpoints()] == [4, 9]
    assert (result.best_checkpoint.name, result.last_checkpoint.name) == (
        "checkpoint-4",
        "checkpoint-9",
    )


def test_accuracy_is_better_when_higher_and_no_limit_keeps_all(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    values = {1: 0.5, 2: 0.9, 3: 0.2}
    config = make_config(
        train={"max_steps": 3},
        output={
            "eval_steps": 1,
            "metric_for_best_model": "token_accuracy",
            "save_total_limit": None,
        },
    )
    result = run_training(
        tiny_model_dir,
        tmp_path,
        config,
        evaluators=[lambda model, step: {"token_accuracy": values[step]}],
    )
    assert [step for step, _ in RunDir(tmp_path).checkpoints()] == [1, 2, 3]
    assert result.best_checkpoint.name == "checkpoint-2"


def test_identity_comes_first_and_less_drift_decides_between_equals(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    found = {1: (0.9, 0.001), 2: (0.95, 0.30), 3: (0.95, 0.02), 4: (0.94, 0.0)}
    config = make_config(
        train={"max_steps": 4},
        output={"eval_steps": 1, "metric_for_best_model": "identity", "save_total_limit": None},
    )
    result = run_training(
        tiny_model_dir,
        tmp_path,
        config,
        evaluators=[lambda model, step: dict(zip(("identity", "kl"), found[step], strict=True))],
    )
    assert result.best_checkpoint.name == "checkpoint-3"


def test_a_training_that_is_ready_stops_with_a_complete_last_checkpoint(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    config = make_config(train={"max_steps": 9}, output={"eval_steps": 2})
    result = run_training(
        tiny_model_dir,
        tmp_path,
        config,
        events=events,
        evaluators=[lambda model, step: {"identity": step / 10}],
        is_ready=lambda metrics: metrics["identity"] >= 0.4,
    )
    assert result.last_checkpoint.name == "checkpoint-4"
    assert of_kind(events, CheckpointEvent)[-1].reason == "last"
    assert of_kind(events, EndEvent)[-1].status == "done"
    assert any("ready after step 4" in event.message for event in of_kind(events, WarningEvent))


def test_evaluation_does_not_change_the_training(tiny_model_dir: Path, tmp_path: Path) -> None:
    found = []
    for eval_steps in (1, 1000):
        events: list[Event] = []
        seen = []

        def draw(model: Any, step: int, seen: list[bool] = seen) -> dict[str, float]:
            seen.append(model.training)
            return {"drawn": torch.rand(7).sum().item()}

        run_training(
            tiny_model_dir,
            tmp_path / str(eval_steps),
            make_config(
                adapter={"lora_dropout": 0.3},
                train={"max_steps": 4},
                output={"eval_steps": eval_steps, "save_total_limit": 1},
            ),
            dev_rows=make_rows(4, seed=5),
            events=events,
            evaluators=[draw],
        )
        assert not any(seen)
        found.append(losses(events))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["no rows", "no labels"])
def test_nothing_to_learn_is_an_error_before_anything(
    tiny_model_dir: Path, tmp_path: Path, kind: str
) -> None:
    rows = [replace(row, labels=[-100] * row.num_tokens) for row in make_rows(3)]
    events: list[Event] = []
    with pytest.raises(TrainError, match=r"no rows|labels are -100"):
        run_training(
            tiny_model_dir,
            tmp_path,
            make_config(),
            rows=[] if kind == "no rows" else rows,
            events=events,
        )
    assert not events


def test_a_loss_that_is_no_number_leaves_the_weights_alone(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    config = make_config(train={"max_steps": 3})
    model = make_model(tiny_model_dir, config)
    named = dict(model.named_parameters())
    poisoned = next(name for name in named if "lora_B" in name)
    named[poisoned].data.fill_(float("nan"))
    before = {name: p.clone() for name, p in named.items() if p.requires_grad}
    events: list[Event] = []
    with pytest.raises(TrainError, match=r"step 1: the loss is nan .*rows\.jsonl:\d+"):
        run_training(tiny_model_dir, tmp_path, config, model=model, events=events)
    for name, value in before.items():
        assert torch.equal(named[name].nan_to_num(), value.nan_to_num())
    assert isinstance(events[-1], EndEvent) and events[-1].status == "failed"
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "failed"


def test_a_loss_of_exactly_zero_is_an_error(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Forward.loss

    def zero(self: Forward, batch: Any) -> TokenLoss:
        found = original(self, batch)
        return TokenLoss(found.loss_sum * 0, found.num_correct)

    monkeypatch.setattr(Forward, "loss", zero)
    with pytest.raises(TrainError, match="exactly 0"):
        run_training(tiny_model_dir, tmp_path, make_config())


def run_with_memory_for(
    positions: int, model_dir: Path, run_dir: Path, patch: pytest.MonkeyPatch, **train: Any
) -> tuple[list[Event], torch.Tensor]:
    """A training on a device that takes ``positions`` at once (twice as many recomputed)."""
    original = Forward.loss

    def limited(self: Forward, batch: Any) -> TokenLoss:
        if batch.num_positions > positions * (2 if self.checkpointing else 1):
            raise torch.OutOfMemoryError("the test's own")
        return original(self, batch)

    patch.setattr(Forward, "loss", limited)
    config = make_config(train={"max_steps": 3, **train})
    model = make_model(model_dir, config)
    events: list[Event] = []
    run_training(model_dir, run_dir, config, model=model, events=events)
    patch.undo()
    return events, torch.cat([p.flatten() for p in model.parameters() if p.requires_grad])


def test_out_of_memory_means_smaller_batches_and_the_same_result(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, wanted = run_with_memory_for(10**6, tiny_model_dir, tmp_path / "a", monkeypatch)
    events, found = run_with_memory_for(
        60, tiny_model_dir, tmp_path / "b", monkeypatch, tokens_per_batch=400
    )
    warnings = [event.message for event in of_kind(events, WarningEvent)]
    assert [message.split(":")[1].split()[0] for message in warnings] == ["200", "100", "50"]
    assert len(losses(events)) == 3
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_then_checkpointing_then_an_error(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows have up to 40 tokens: 30 positions are enough only when activations are recomputed."""
    events, _ = run_with_memory_for(
        30, tiny_model_dir, tmp_path / "a", monkeypatch, tokens_per_batch=60
    )
    warnings = [event.message for event in of_kind(events, WarningEvent)]
    assert "gradient checkpointing" in warnings[-1]
    with pytest.raises(TrainError, match=r"out of memory with a single conversation of \d+ tokens"):
        run_with_memory_for(
            30,
            tiny_model_dir,
            tmp_path / "b",
            monkeypatch,
            tokens_per_batch=60,
            gradient_checkpointing=False,
        )


@pytest.mark.parametrize("max_norm", [0.01, 0.0])
def test_clipping_bounds_the_gradient(
    tiny_model_dir: Path, tmp_path: Path, max_norm: float
) -> None:
    """After one step AdamW's mean gradient is (1 - beta1) times what it was given."""
    events: list[Event] = []
    config = make_config(train={"max_steps": 1, "max_grad_norm": max_norm})
    result = run_training(tiny_model_dir, tmp_path, config, events=events)
    [step] = of_kind(events, StepEvent)
    moments = load_file(result.last_checkpoint / "state" / "optimizer.safetensors")
    means = [value.flatten() for name, value in moments.items() if name.endswith(".exp_avg")]
    assert step.grad_norm > 0.1
    wanted = max_norm or step.grad_norm
    assert torch.cat(means).norm().item() == pytest.approx(0.1 * wanted, rel=1e-4)


def test_vectors_are_not_decayed(tiny_model_dir: Path) -> None:
    config = make_config(adapter={"tuner_type": "full"}, train={"weight_decay": 0.1})
    weights = TrainableWeights(make_model(tiny_model_dir, config))
    decayed, rest = make_optimizer(weights, config.train).param_groups
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    vectors = {name for name, p in weights.named.items() if any(p is q for q in rest["params"])}
    assert vectors == {name for name in weights.named if "norm" in name or name.endswith("bias")}


def test_an_earlier_runs_checkpoints_are_left_alone(tiny_model_dir: Path, tmp_path: Path) -> None:
    old = tmp_path / "checkpoint-77"
    old.mkdir()
    CheckpointInfo("other", "lora", step=77).write(old)
    events: list[Event] = []
    config = make_config(train={"max_steps": 3}, output={"save_steps": 1, "save_total_limit": 1})
    run_training(tiny_model_dir, tmp_path, config, events=events)
    assert [step for step, _ in RunDir(tmp_path).checkpoints()] == [3, 77]
    assert "earlier run" in of_kind(events, WarningEvent)[0].message


def test_drafts_of_a_crash_are_no_checkpoints(tiny_model_dir: Path, tmp_path: Path) -> None:
    from selfcog.train.checkpoint import written_whole

    target = tmp_path / "checkpoint-5"
    with pytest.raises(KeyboardInterrupt), written_whole(target) as folder:
        CheckpointInfo("x", "lora", step=5).write(folder)
        raise KeyboardInterrupt
    assert RunDir(tmp_path).checkpoints() == []
    with written_whole(target) as folder:
        CheckpointInfo("y", "lora", step=5).write(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


def test_float16_halves_its_loss_scale_until_it_fits(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scale of 2^30 overflows float16; the step is repeated until its gradient is finite."""
    monkeypatch.setattr("selfcog.train.setup.FIRST_LOSS_SCALE", 2.0**30)
    config = make_config(train={"max_steps": 3}, output={"save_only_model": False})
    wanted: list[Event] = []
    run_training(tiny_model_dir, tmp_path / "float32", config, events=wanted)
    model = make_model(tiny_model_dir, config)
    model.base_model.model.half()
    for name, parameter in model.named_parameters():
        if "lora" in name:
            parameter.data = parameter.data.float()
    events: list[Event] = []
    result = run_training(tiny_model_dir, tmp_path, config, model=model, events=events)
    assert losses(events) == pytest.approx(losses(wanted), rel=1e-2)
    norms = [[e.grad_norm for e in of_kind(found, StepEvent)] for found in (events, wanted)]
    assert norms[0] == pytest.approx(norms[1], rel=5e-2)
    state = json.loads((result.last_checkpoint / "state" / "trainer.json").read_text())
    assert 1 < state["loss_scale"] < 2**30
