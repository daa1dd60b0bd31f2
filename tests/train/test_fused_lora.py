"""LoRA layers computed without peft's detours: the same numbers, and peft's again afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import make_config, make_model, make_rows

from selfcog.train.forward import Forward, prepare
from selfcog.types import TokenizedExample

ROWS = make_rows(6)


def trained_model(model_dir: Path, dtype: torch.dtype = torch.float32, **adapter: Any) -> Any:
    """A model whose adapter is past its first step: B is 0 in a new one."""
    model = make_model(model_dir, make_config(adapter=adapter))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
        elif "lora" not in name:
            parameter.data = parameter.data.to(dtype)
    return model


def prepared(model: Any, dtype: torch.dtype = torch.float32) -> Forward:
    forward, notices = prepare(model, token_budget=90, longest_row=40, compute_dtype=dtype)
    assert not notices
    return forward


def plain(model: Any, rows: Sequence[TokenizedExample]) -> tuple[float, torch.Tensor]:
    """Loss sum and gradient by the model's own forward and autograd, one row at a time."""
    model.zero_grad()
    total = torch.zeros(())
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0].float()
        labels = torch.tensor([*row.labels[1:], -100])
        total = total + torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    total.backward()
    return total.item(), gradient(model)


def ours(forward: Forward, rows: Sequence[TokenizedExample]) -> tuple[float, torch.Tensor]:
    forward.model.zero_grad()
    total = 0.0
    for batch in forward.batches(rows):
        loss = forward.loss(batch).loss_sum
        loss.backward()
        total += loss.item()
    return total, gradient(forward.model)


def gradient(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_and_gradient_are_those_of_the_plain_forward(
    tiny_model_dir: Path, checkpointing: bool
) -> None:
    model = trained_model(tiny_model_dir)
    wanted_loss, wanted = plain(model, ROWS)
    forward = prepared(model)
    assert forward.fused_lora is not None and len(forward.fused_lora.layers) == 14
    if checkpointing:
        forward.set_checkpointing()
        model.train()
    loss, found = ours(forward, ROWS)
    assert loss == pytest.approx(wanted_loss, rel=1e-5)
    assert distance(found, wanted) < 1e-5


def test_in_bfloat16_it_is_no_further_from_float32_than_the_plain_forward(
    tiny_model_dir: Path,
) -> None:
    exact_loss, exact = plain(trained_model(tiny_model_dir), ROWS)
    model = trained_model(tiny_model_dir, torch.bfloat16)
    plain_loss, noisy = plain(model, ROWS)
    loss, found = ours(prepared(model, torch.bfloat16), ROWS)
    noise = distance(noisy, exact)
    assert 1e-4 < noise < 0.1
    assert distance(found, exact) < 1.5 * noise
    assert abs(loss - exact_loss) < max(2 * abs(plain_loss - exact_loss), 1e-3 * exact_loss)


def test_float32_weights_with_products_in_bfloat16(tiny_model_dir: Path) -> None:
    exact_loss, exact = plain(trained_model(tiny_model_dir), ROWS)
    loss, found = ours(prepared(trained_model(tiny_model_dir), torch.bfloat16), ROWS)
    assert loss == pytest.approx(exact_loss, rel=1e-3)
    assert 1e-5 < distance(found, exact) < 0.05


def test_an_adapter_that_is_switched_off_or_merged_is_left_to_peft(tiny_model_dir: Path) -> None:
    model = trained_model(tiny_model_dir)
    ids = torch.tensor([ROWS[0].input_ids])
    with torch.no_grad():
        with model.disable_adapter():
            base = model(input_ids=ids).logits
        tuned = model(input_ids=ids).logits
        prepared(model).restore()
        assert torch.equal(model(input_ids=ids).logits, tuned)
        assert not any("forward" in module.__dict__ for module in model.modules())
        prepared(model)
        with model.disable_adapter():
            assert torch.equal(model(input_ids=ids).logits, base)
        assert distance(model(input_ids=ids).logits, tuned) < 1e-6
        model.merge_adapter()
        assert distance(model(input_ids=ids).logits, tuned) < 1e-5


def test_scaling_is_looked_up_at_every_call(tiny_model_dir: Path) -> None:
    model = trained_model(tiny_model_dir)
    forward = prepared(model)
    for layer in forward.fused_lora.layers if forward.fused_lora else ():
        layer.scaling["default"] *= 0.5
    found = ours(forward, ROWS)[1]
    forward.restore()
    assert distance(found, plain(model, ROWS)[1]) < 1e-5


@pytest.mark.parametrize(
    "adapter", [{"use_dora": True}, {"lora_dropout": 0.1}, {"tuner_type": "full"}], ids=str
)
def test_what_is_not_plain_lora_is_left_alone(
    tiny_model_dir: Path, adapter: dict[str, Any]
) -> None:
    forward = prepared(make_model(tiny_model_dir, make_config(adapter=adapter)))
    assert forward.fused_lora is None
    assert not any("forward" in module.__dict__ for module in forward.model.modules())


def test_embeddings_beside_it_stay_with_peft(tiny_model_dir: Path) -> None:
    model = trained_model(tiny_model_dir, target_modules=("all-linear", "embedding"))
    wanted_loss, wanted = plain(model, ROWS)
    loss, found = ours(prepared(model), ROWS)
    assert loss == pytest.approx(wanted_loss, rel=1e-5) and distance(found, wanted) < 1e-5


def test_a_wrong_layer_is_noticed_and_not_used(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfcog.train import lora

    real = lora._LoraLinear.forward
    monkeypatch.setattr(
        lora._LoraLinear, "forward", staticmethod(lambda *args: real(*args[:-1], 2 * args[-1]))
    )
    assert prepared(trained_model(tiny_model_dir)).fused_lora is None
