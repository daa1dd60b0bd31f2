"""LoRA: the layers chosen, base untouched, saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from selfcog.config.schema import AdapterSection
from selfcog.errors import ConfigError, ModelError
from selfcog.model.adapter import (
    adapter_off,
    add_adapter,
    count_parameters,
    is_zero_adapter,
    load_adapter,
    resolve_targets,
)
from selfcog.model.load import load_model

PROJECTIONS = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
IDS = torch.tensor([[5, 17, 40, 9, 77, 3]])


@pytest.fixture
def model(tiny_model_dir: Path) -> Any:
    return load_model(tiny_model_dir)


def fill_adapter(model: Any, seed: int = 0) -> Any:
    """Random values in everything trainable, as after a training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.05 * noise.to(parameter.dtype))
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(IDS).logits.clone()


def test_targets(model: Any) -> None:
    assert resolve_targets(model, ["all-linear"]) == PROJECTIONS
    assert resolve_targets(model, ["default"]) == ["k_proj", "q_proj", "v_proj"]
    assert resolve_targets(model, ["embedding"]) == ["embed_tokens"]
    assert resolve_targets(model, ["DEFAULT", "down_proj"]) == [
        "down_proj",
        "k_proj",
        "q_proj",
        "v_proj",
    ]
    assert resolve_targets(model, ["all-linear", "embedding"]) == sorted(
        [*PROJECTIONS, "embed_tokens"]
    )
    assert resolve_targets(model, ["layers.1.mlp.up_proj"]) == ["model.layers.1.mlp.up_proj"]
    assert "lm_head" in resolve_targets(model, ["lm_head"])


def test_conv1d_models_count_as_linear() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    gpt2 = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=32, n_head=2, vocab_size=50))
    assert resolve_targets(gpt2, ["all-linear"]) == ["c_attn", "c_fc", "c_proj"]
    assert resolve_targets(gpt2, ["default"]) == ["c_attn"]


def test_unknown_names_list_what_there_is(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'q_proj'.*down_proj, embed_tokens"):
        resolve_targets(model, ["q_prj"])
    with pytest.raises(ConfigError, match=r"--modules_to_save norms .*layernorm"):
        add_adapter(model, AdapterSection(modules_to_save=("norms",)))


def test_same_layers_as_peft_itself(model: Any, tiny_model_dir: Path) -> None:
    from peft import LoraConfig, get_peft_model

    theirs = get_peft_model(
        load_model(tiny_model_dir), LoraConfig(r=4, target_modules="all-linear")
    )
    ours = add_adapter(model, AdapterSection(lora_rank=4))
    assert set(ours.targeted_module_names) == set(theirs.targeted_module_names)


def test_new_adapter_changes_nothing_and_trains_alone(model: Any) -> None:
    before = logits(model)
    total = count_parameters(model).total
    tuned = add_adapter(model, AdapterSection(lora_rank=8, lora_alpha=32.0))
    assert torch.equal(logits(tuned), before) and is_zero_adapter(tuned)
    count = count_parameters(tuned)
    assert count.total == total + count.trainable
    names = [name for name, item in tuned.named_parameters() if item.requires_grad]
    assert names and all("lora_" in name for name in names)
    config = tuned.peft_config["default"]
    assert (config.r, config.lora_alpha) == (8, 32)


def test_alpha_defaults_to_twice_the_rank(model: Any) -> None:
    assert add_adapter(model, AdapterSection(lora_rank=4)).peft_config["default"].lora_alpha == 8


def test_adapter_off_is_exactly_the_base(model: Any) -> None:
    before = logits(model)
    tuned = fill_adapter(add_adapter(model, AdapterSection(modules_to_save=("norm",))))
    changed = logits(tuned)
    assert not torch.allclose(changed, before)
    with adapter_off(tuned):
        assert torch.equal(logits(tuned), before)
    assert torch.equal(logits(tuned), changed)


@pytest.mark.parametrize(
    "settings",
    [
        AdapterSection(lora_rank=4),
        AdapterSection(use_rslora=True),
        AdapterSection(use_dora=True, target_modules=("default",)),
        AdapterSection(target_modules=("embedding",)),
        AdapterSection(target_modules=("all-linear", "embedding")),
        AdapterSection(modules_to_save=("norm",), init_weights="gaussian"),
    ],
    ids=["plain", "rslora", "dora", "embedding", "all+embedding", "modules_to_save"],
)
def test_saving_and_loading_gives_the_same_logits(
    settings: AdapterSection, model: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    tuned = fill_adapter(add_adapter(model, settings))
    tuned.save_pretrained(tmp_path)
    loaded = load_adapter(load_model(tiny_model_dir), tmp_path)
    assert torch.equal(logits(loaded), logits(tuned))
    assert count_parameters(loaded).trainable == 0
    again = load_adapter(load_model(tiny_model_dir), tmp_path, is_trainable=True)
    assert count_parameters(again).trainable == count_parameters(tuned).trainable


def test_an_embedding_adapter_moves_the_tied_head_along(model: Any, tiny_model_dir: Path) -> None:
    tuned = fill_adapter(add_adapter(model, AdapterSection(target_modules=("embedding",))))
    embedding = tuned.base_model.model.model.embed_tokens
    merged = load_model(tiny_model_dir)
    with torch.no_grad():
        merged.model.embed_tokens.weight += embedding.get_delta_weight("default")
    torch.testing.assert_close(logits(merged), logits(tuned), rtol=1e-4, atol=1e-5)


def test_training_goes_on_from_an_adapter(model: Any, tiny_model_dir: Path, tmp_path: Path) -> None:
    tuned = fill_adapter(add_adapter(model, AdapterSection(lora_rank=3)))
    tuned.save_pretrained(tmp_path)
    again = add_adapter(load_model(tiny_model_dir), AdapterSection(adapters=str(tmp_path)))
    assert again.peft_config["default"].r == 3
    assert torch.equal(logits(again), logits(tuned))
    assert count_parameters(again).trainable > 0


def test_half_precision_base_has_a_float32_adapter(tiny_model_dir: Path) -> None:
    base = load_model(tiny_model_dir, torch_dtype="bfloat16")
    tuned = add_adapter(base, AdapterSection())
    dtypes = {item.dtype for item in tuned.parameters() if item.requires_grad}
    assert dtypes == {torch.float32}


def test_dropout_only_acts_while_training(model: Any) -> None:
    tuned = fill_adapter(add_adapter(model, AdapterSection(lora_dropout=0.5)))
    assert torch.equal(logits(tuned), logits(tuned))
    tuned.train()
    assert not torch.equal(logits(tuned), logits(tuned))


def test_an_adapter_without_effect_warns(model: Any, tiny_model_dir: Path, tmp_path: Path) -> None:
    add_adapter(model, AdapterSection()).save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="all zero"):
        load_adapter(load_model(tiny_model_dir), tmp_path)


def test_adapters_that_do_not_fit(model: Any, tiny_model_dir: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    fill_adapter(add_adapter(model, AdapterSection())).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    kept = {name: item for name, item in weights.items() if "layers.1" not in name}
    save_file(kept, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="no weights for 14 of 28"):
        load_adapter(load_model(tiny_model_dir), tmp_path)
    grown = {name: item.repeat(1, 2) for name, item in weights.items()}
    save_file(grown, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="does not fit"):
        load_adapter(load_model(tiny_model_dir), tmp_path)
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        load_adapter(load_model(tiny_model_dir), tiny_model_dir)


def test_foreign_weights_take_an_adapter(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "weights" / "stories260K"
    if not folder.is_dir():
        pytest.skip("shared/weights/stories260K is not there")
    before = logits(load_model(folder))
    tuned = fill_adapter(add_adapter(load_model(folder), AdapterSection(lora_rank=4)))
    with adapter_off(tuned):
        assert torch.equal(logits(tuned), before)
    tuned.save_pretrained(tmp_path)
    assert torch.equal(logits(load_adapter(load_model(folder), tmp_path)), logits(tuned))
