"""How strong an adapter stays after training: the choice on made-up curves, and what is written."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from peft.tuners.lora import LoraLayer
from rich.console import Console

from selfcog.commands.scaling import (
    ENOUGH,
    LARGER,
    SMALLER,
    ScaleChoice,
    choose_scale,
    fit_scale,
    search_scale,
)
from selfcog.config.load import make_config
from selfcog.config.schema import AdapterSection
from selfcog.runs import CheckpointInfo

SCALES = (*SMALLER, 1.0, *LARGER)
MOST_KL = 0.05


def measured(
    right: Callable[[float], float], drift: Callable[[float], float] | None = None
) -> Callable[[float], dict[str, float]]:
    def measure(scale: float) -> dict[str, float]:
        found = {"identity": right(scale)}
        return found if drift is None else {**found, "kl": drift(scale)}

    return measure


def choose(
    right: Callable[[float], float], drift: Callable[[float], float] = lambda scale: 0.01 * scale
) -> ScaleChoice:
    return choose_scale(measured(right, drift), MOST_KL)


def test_with_enough_at_one_the_smallest_that_keeps_it() -> None:
    assert choose(lambda scale: 1.0 if scale >= 0.7 else 0.9).scale == 0.7
    assert choose(lambda scale: 1.0).scale == min(SMALLER)
    assert choose(lambda scale: 1.0 if scale >= 1.0 else 0.9).scale == 1.0
    # 98 % is enough, also where one had more.
    assert choose(lambda scale: 1.0 if scale >= 0.9 else ENOUGH).scale == min(SMALLER)


def test_what_is_needed_is_measured_once_and_no_further_than_needed() -> None:
    asked: list[float] = []

    def measure(scale: float) -> dict[str, float]:
        asked.append(scale)
        return {"identity": 1.0 if scale >= 0.8 else 0.5, "kl": 0.01}

    found = choose_scale(measure, MOST_KL)
    assert asked == [1.0, 0.9, 0.8, 0.7] and found.scale == 0.8
    assert list(found.tried) == asked
    assert found.tried[0.7] == {"identity": 0.5, "kl": 0.01}


def test_without_enough_at_one_a_larger_one_is_taken() -> None:
    assert choose(lambda scale: 0.9 if scale <= 1.0 else 1.0).scale == 1.1
    assert choose(lambda scale: {1.0: 0.9, 1.1: 0.94, 1.2: 0.97}.get(scale, 0.5)).scale == 1.2
    # Where more does not help, no more is taken.
    assert choose(lambda scale: 0.9 if scale >= 1.0 else 0.5).scale == 1.0
    assert choose(lambda scale: 0.9 if scale >= 0.8 else 0.5).scale == 0.8


def test_too_much_drift_is_never_bought() -> None:
    """1.1 would answer all; within the gate 0.9 is as good as 1.0."""
    right = {1.2: 1.0, 1.1: 1.0, 1.0: 0.9, 0.9: 0.9}
    found = choose(lambda scale: right.get(scale, 0.8), lambda scale: 0.04 * scale**4)
    assert 1.2 in found.tried and found.scale == 0.9


def test_over_the_gate_a_smaller_one_is_taken() -> None:
    """1.0 answers all, but drifts too far; 0.8 still answers all."""
    found = choose(lambda scale: 1.0, lambda scale: 0.05 if scale <= 0.8 else 0.2)
    assert found.scale == min(SMALLER)
    found = choose(
        lambda scale: 1.0 if scale >= 0.8 else 0.7, lambda scale: 0.05 if scale <= 0.8 else 0.2
    )
    assert found.scale == 0.8


def test_over_the_gate_some_answers_are_given_up_for_it() -> None:
    """At 0.9 answers are lost already; within the gate 0.7 has the most."""
    right = {1.0: 1.0, 0.9: 0.97, 0.8: 0.96, 0.7: 0.95, 0.6: 0.8, 0.5: 0.6}
    found = choose(right.__getitem__, lambda scale: 0.04 if scale <= 0.7 else 0.2)
    assert found.scale == 0.7


def test_where_all_drift_too_far_no_answer_is_given_up() -> None:
    assert choose(lambda scale: 1.0 if scale >= 0.7 else 0.8, lambda scale: 1.0).scale == 0.7
    assert choose(lambda scale: 0.9 if scale <= 1.0 else 1.0, lambda scale: 1.0).scale <= 1.0


def test_without_drift_only_answers_count() -> None:
    assert choose_scale(measured(lambda scale: 1.0 if scale > 0.55 else 0.0), MOST_KL).scale == 0.6


@given(
    st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8),
    st.lists(st.floats(0.0, 0.2), min_size=8, max_size=8),
)
def test_on_any_rising_curves_nothing_smaller_is_as_good(
    rights: list[float], drifts: list[float]
) -> None:
    """Answers and drift grow with the scale, and at 1 it is within the gate."""
    order = sorted(SCALES)
    right = dict(zip(order, sorted(rights), strict=True))
    drift = dict(zip(order, sorted(drifts), strict=True))
    assume(drift[1.0] <= MOST_KL)
    found = choose(right.__getitem__, drift.__getitem__)
    assert found.tried[found.scale] == {"identity": right[found.scale], "kl": drift[found.scale]}
    allowed = [scale for scale in order if drift[scale] <= MOST_KL]
    if right[1.0] >= ENOUGH:
        allowed = [scale for scale in allowed if scale <= 1.0]
    most = max(right[scale] for scale in allowed)
    assert found.scale == min(s for s in allowed if right[s] >= min(most, ENOUGH))


@pytest.fixture
def trained(tiny_model_dir: Path, tmp_path: Path) -> tuple[Any, Path]:
    """A PeftModel, and a checkpoint with other weights of its adapter."""
    from selfcog.model.adapter import add_adapter
    from selfcog.model.load import load_model

    model = add_adapter(load_model(tiny_model_dir, torch_dtype="float32"), AdapterSection())
    fill(model, 0)
    folder = tmp_path / "checkpoint-7"
    model.save_pretrained(folder, save_embedding_layers=False)
    CheckpointInfo(str(tiny_model_dir), "lora", 7, metrics={"loss": 2.0}).write(folder)
    (folder / "state").mkdir()
    (folder / "state" / "weights.safetensors").write_bytes(b"as they were trained")
    fill(model, 1)
    return model, folder


def fill(model: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(5, 40)[None]).logits


def reload(folder: Path, base: Path) -> Any:
    from selfcog.model.adapter import load_adapter
    from selfcog.model.load import load_model

    return load_adapter(load_model(base, torch_dtype="float32"), folder)


def scale_of(model: Any) -> float:
    """The scale that a model has at the moment; 2 is alpha / rank."""
    layer = next(module for module in model.modules() if isinstance(module, LoraLayer))
    return layer.scaling["default"] / 2.0


def enough_from(least: float) -> Callable[[Any, int], dict[str, float]]:
    return lambda model, step: {
        "identity": 1.0 if scale_of(model) >= least - 1e-6 else 0.5,
        "kl": 0.01 * scale_of(model),
    }


def test_the_checkpoint_gets_the_scale_that_was_measured(
    trained: tuple[Any, Path], tiny_model_dir: Path
) -> None:
    model, folder = trained
    seen: dict[float, torch.Tensor] = {}

    def evaluate(asked: Any, step: int) -> dict[str, float]:
        assert asked is model and step == 0
        seen[round(scale_of(model), 6)] = logits_of(model)
        return enough_from(0.7)(model, step)

    before = logits_of(reload(folder, tiny_model_dir))
    found = search_scale(model, folder, evaluate, MOST_KL)
    assert found.scale == 0.7 and scale_of(model) == 1.0
    # The checkpoint's weights were measured, not those that the model came with.
    torch.testing.assert_close(seen[1.0], before)
    after = logits_of(reload(folder, tiny_model_dir))
    torch.testing.assert_close(after, seen[0.7], atol=1e-5, rtol=1e-5)
    info = CheckpointInfo.read(folder)
    assert info is not None and info.adapter_scale == 0.7 and info.step == 7
    # The loss of the adapter as it was is gone: it is not that of the scaled one.
    assert info.metrics == {"identity": 1.0, "kl": pytest.approx(0.007)}
    assert (folder / "state" / "weights.safetensors").read_bytes() == b"as they were trained"


def test_a_scale_of_one_leaves_the_weights(trained: tuple[Any, Path]) -> None:
    model, folder = trained
    before = (folder / "adapter_model.safetensors").read_bytes()
    assert search_scale(model, folder, enough_from(1.0), MOST_KL).scale == 1.0
    assert (folder / "adapter_model.safetensors").read_bytes() == before


def test_a_second_search_goes_on_from_the_first(trained: tuple[Any, Path]) -> None:
    """A finished run that is started again: what is noted is the whole scale, as in the file."""
    from safetensors import safe_open

    model, folder = trained
    search_scale(model, folder, enough_from(0.8), MOST_KL)
    search_scale(model, folder, enough_from(0.5), MOST_KL)
    search_scale(model, folder, enough_from(1.0), MOST_KL)
    with safe_open(str(folder / "adapter_model.safetensors"), framework="pt") as file:
        noted = json.loads(file.metadata()["selfcog"])["scale"]
    info = CheckpointInfo.read(folder)
    assert noted == pytest.approx(0.4)
    assert info is not None and info.adapter_scale == pytest.approx(noted)


def fit(values: dict[str, Any], model: Any, folder: Path, evaluate: Any) -> str:
    out = io.StringIO()
    names = {"model_name": "扁仓", "model_author": "扁仓研究组", "self_cognition_sample": 8}
    config = make_config("sft", {"model": "embedded", **names, **values})
    fit_scale(config, model, folder, evaluate, Console(file=out, width=200))
    return " ".join(out.getvalue().split())


def test_what_was_done_is_said(trained: tuple[Any, Path]) -> None:
    said = fit({}, *trained, enough_from(0.6))
    assert said == (
        "scale: 0.6 of the adapter is kept (dev questions right 100.0%, KL 0.0060; "
        "at 1: dev questions right 100.0%, KL 0.0100)"
    )


def refuse(model: Any, step: int) -> dict[str, float]:
    raise AssertionError("nothing is to be measured")


def test_where_there_is_nothing_to_shrink_nothing_is_measured(trained: tuple[Any, Path]) -> None:
    model, folder = trained
    assert fit({"search_scale": False}, model, folder, refuse) == ""
    more = fit({"dataset": "rows.jsonl"}, model, folder, refuse)
    assert more == "scale: the adapter holds more than the identity, so it stays as it is"
    assert "no adapter to shrink" in fit({"tuner_type": "full"}, model, folder, refuse)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "use_dora": True}))
    assert "DoRA's magnitudes" in fit({}, model, folder, refuse)
