"""Merging for a while: the numbers of peft's own merge inside, the very same tensors afterwards."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft.tuners.lora import Linear, LoraLayer

from selfcog.config.schema import AdapterSection
from selfcog.model import merged as merging
from selfcog.model.adapter import adapter_off, add_adapter
from selfcog.model.load import load_model
from selfcog.model.merged import free_memory, mergeable_layers, merged

IDS = torch.tensor([[3, 14, 15, 92, 65]])


def make_tuned(folder: Path, dtype: str = "float32", **settings: Any) -> Any:
    """The tiny model with an adapter that changes it."""
    model = add_adapter(load_model(folder, torch_dtype=dtype), AdapterSection(**settings))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "lora_embedding" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(IDS).logits
    return logits


def contents(model: Any) -> dict[str, tuple[int, torch.Tensor]]:
    """Where every tensor lies, and a copy of it."""
    return {name: (one.data_ptr(), one.clone()) for name, one in model.state_dict().items()}


def assert_unchanged(model: Any, before: dict[str, tuple[int, torch.Tensor]]) -> None:
    after = model.state_dict()
    assert after.keys() == before.keys()
    for name, (address, tensor) in before.items():
        assert after[name].data_ptr() == address
        assert torch.equal(after[name], tensor), name
    assert not any(layer.merged for layer in model.modules() if isinstance(layer, LoraLayer))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_those_of_peft_and_come_back(tiny_model_dir: Path, dtype: str) -> None:
    model = make_tuned(tiny_model_dir, dtype)
    wanted = copy.deepcopy(model).merge_and_unload().state_dict()
    before, logits = contents(model), logits_of(model)
    with merged(model) as number:
        assert number == 14
        found = model.get_base_model().state_dict()
        for name, tensor in wanted.items():
            base, _, leaf = name.rpartition(".")
            own = found.get(name, found.get(f"{base}.base_layer.{leaf}"))
            assert own is not None and torch.equal(own, tensor), name
        close = {"float32": 1e-5, "bfloat16": 5e-2}[dtype]
        torch.testing.assert_close(logits_of(model), logits, atol=close, rtol=close)
    assert_unchanged(model, before)
    assert torch.equal(logits_of(model), logits)


def test_weights_come_back_after_an_error(tiny_model_dir: Path) -> None:
    model = make_tuned(tiny_model_dir)
    before = contents(model)
    with pytest.raises(KeyError), merged(model):
        raise KeyError("in the middle")
    assert_unchanged(model, before)


def test_an_error_while_merging_leaves_nothing_behind(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_tuned(tiny_model_dir)
    before = contents(model)
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]

    def fail(name: str) -> torch.Tensor:
        raise MemoryError(name)

    monkeypatch.setattr(layers[5], "get_delta_weight", fail)
    with pytest.raises(MemoryError), merged(model):
        raise AssertionError("not reached")
    assert_unchanged(model, before)


def test_training_goes_on_where_it_was(tiny_model_dir: Path) -> None:
    model = make_tuned(tiny_model_dir)
    with merged(model):
        logits_of(model)
    model(IDS, labels=IDS).loss.backward()
    parameters = {name: one for name, one in model.named_parameters() if one.requires_grad}
    assert parameters and all(one.grad is not None for one in parameters.values())


def test_an_adapter_that_is_off_is_not_merged(tiny_model_dir: Path) -> None:
    model = make_tuned(tiny_model_dir)
    with adapter_off(model):
        logits = logits_of(model)
        with merged(model) as number:
            assert number == 0
            assert torch.equal(logits_of(model), logits)


def test_a_second_merge_inside_the_first_does_nothing(tiny_model_dir: Path) -> None:
    model = make_tuned(tiny_model_dir)
    before = contents(model)
    with merged(model):
        logits = logits_of(model)
        with merged(model) as number:
            assert number == 0
        assert torch.equal(logits_of(model), logits)
    assert_unchanged(model, before)


def test_models_without_an_adapter_are_left_alone(tiny_model_dir: Path) -> None:
    with merged(load_model(tiny_model_dir)) as number:
        assert number == 0


def test_without_memory_for_a_copy_nothing_is_merged(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_tuned(tiny_model_dir)
    needed = sum(layer.get_base_layer().weight.nbytes for layer in mergeable_layers(model))
    monkeypatch.setattr(merging, "free_memory", lambda device: 2 * needed - 1)
    with merged(model) as number:
        assert number == 0
    monkeypatch.setattr(merging, "free_memory", lambda device: 2 * needed)
    with merged(model) as number:
        assert number == 14


@pytest.mark.parametrize(
    "settings",
    [{"use_dora": True}, {"use_rslora": True}, {"modules_to_save": ("lm_head",)}],
    ids=lambda settings: next(iter(settings)),
)
def test_kinds_of_adapters(tiny_model_dir: Path, settings: dict[str, Any]) -> None:
    model = make_tuned(tiny_model_dir, **settings)
    before, logits = contents(model), logits_of(model)
    with merged(model) as number:
        assert number == 14
        torch.testing.assert_close(logits_of(model), logits, atol=1e-5, rtol=1e-5)
    assert_unchanged(model, before)
    assert torch.equal(logits_of(model), logits)


def test_tied_embeddings_stay_as_they_are(tiny_model_dir: Path) -> None:
    """Merged into the matrix that both share, the adapter would change the head as well."""
    model = make_tuned(tiny_model_dir, target_modules=("all-linear", "embedding"))
    before, logits = contents(model), logits_of(model)
    with merged(model) as number:
        assert number == 14
        torch.testing.assert_close(logits_of(model), logits, atol=1e-5, rtol=1e-5)
    assert_unchanged(model, before)


def test_biases_are_merged_and_come_back(tiny_model_dir: Path) -> None:
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj"], lora_bias=True, init_lora_weights=False
    )
    model = peft.get_peft_model(load_model(tiny_model_dir), config).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name and name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    before, logits = contents(model), logits_of(model)
    with merged(model) as number:
        assert number == 2
        torch.testing.assert_close(logits_of(model), logits, atol=1e-5, rtol=1e-5)
    assert_unchanged(model, before)


def test_layers_of_another_kind_stay_as_they_are(tiny_model_dir: Path) -> None:
    """As peft's layers over quantised weights, which are subclasses or hold no floating point."""

    class Quantised(Linear):
        pass

    model = make_tuned(tiny_model_dir)
    first, second = mergeable_layers(model)[:2]
    first.__class__ = Quantised
    weight = second.get_base_layer().weight
    second.get_base_layer().weight = torch.nn.Parameter(weight.to(torch.int8), requires_grad=False)
    assert not {id(first), id(second)} & {id(layer) for layer in mergeable_layers(model)}
    assert len(mergeable_layers(model)) == 12


def test_free_memory_is_known() -> None:
    assert 0 < free_memory(torch.device("cpu")) < 1e15
