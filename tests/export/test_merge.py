"""The streaming merge is peft's merge, bit for bit; what it writes loads without selfcog."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from selfcog.export.merge import MergeOptions, MergeResult, merge_checkpoint

KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {
        "rank_pattern": {"layers.0.self_attn.q_proj": 2, "down_proj": 6},
        "alpha_pattern": {"v_proj": 3},
    },
    "modules_to_save": {"modules_to_save": ["lm_head", "norm"]},
    "bias": {"bias": "lora_only"},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
}
QUICK = MergeOptions(check=False)


def merge(checkpoint: Path, base: Path, **options: Any) -> MergeResult:
    return merge_checkpoint(checkpoint, base, options=MergeOptions(check=False, **options))


def peft_state(checkpoint: Path, base: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base)
        return PeftModel.from_pretrained(model, checkpoint).merge_and_unload().state_dict()


def logits_of(model: Any) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(torch.arange(10, 60)[None]).logits


def adapter_logits(checkpoint: Path, base: Path) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base)
        return logits_of(PeftModel.from_pretrained(model, checkpoint))


def stored(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        tensors.update(load_file(path))
    return tensors


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_peft_bit_for_bit(kind: str, dtype: str, make_base: Any, make_adapter: Any) -> None:
    base = make_base(dtype)
    checkpoint = make_adapter(base, **KINDS[kind])
    result = merge(checkpoint, base)

    assert not result.notices  # the streaming path, not the fallback
    wanted, found, before = peft_state(checkpoint, base), stored(result.path), stored(base)
    assert found.keys() == wanted.keys() == before.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == before[name].dtype, name
        assert torch.equal(found[name], tensor), name
    changed = sum(not torch.equal(found[name], before[name]) for name in found)
    assert changed == result.num_patched > 0


def test_an_adapter_saved_in_16_bits_merges_as_peft_does(make_base: Any, make_adapter: Any) -> None:
    base = make_base("bfloat16")
    checkpoint = make_adapter(base)
    weights = checkpoint / "adapter_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(weights).items()}, weights)
    wanted, found = peft_state(checkpoint, base), stored(merge(checkpoint, base).path)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("settings", "stays_tied"),
    [
        ({"target_modules": ["q_proj"]}, True),
        ({"target_modules": ["embed_tokens"]}, False),
        ({"target_modules": ["lm_head"]}, False),
        ({"target_modules": ["embed_tokens"], "ensure_weight_tying": True}, True),
        ({"target_modules": ["embed_tokens", "lm_head"]}, False),
        ({"modules_to_save": ["embed_tokens"]}, False),
        ({"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True),
        ({"modules_to_save": ["embed_tokens", "lm_head"]}, False),
    ],
)
def test_tied_embeddings_compute_what_the_adapter_computes(
    settings: dict[str, Any], stays_tied: bool, make_base: Any, make_adapter: Any
) -> None:
    base = make_base(tied=True)
    checkpoint = make_adapter(base, **settings)
    result = merge(checkpoint, base)

    model = AutoModelForCausalLM.from_pretrained(result.path)
    wanted = adapter_logits(checkpoint, base)
    torch.testing.assert_close(logits_of(model), wanted, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits_of(AutoModelForCausalLM.from_pretrained(base)), wanted)
    assert model.config.tie_word_embeddings is stays_tied
    assert ("lm_head.weight" in stored(result.path)) is not stays_tied


def test_shards_stay_as_they_are_and_large_files_are_split(
    make_base: Any, make_adapter: Any, tmp_path: Path
) -> None:
    base = make_base(max_shard_size="150KB")
    checkpoint = make_adapter(base)
    shards = sorted(path.name for path in base.glob("*.safetensors"))
    assert len(shards) > 2
    same = merge(checkpoint, base)
    assert sorted(path.name for path in same.path.glob("*.safetensors")) == shards
    index = json.loads((same.path / "model.safetensors.index.json").read_text())
    base_index = json.loads((base / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == base_index["weight_map"]
    assert index["metadata"]["total_size"] == same.num_bytes

    smaller = merge(checkpoint, base, max_shard_size="70KB")
    assert smaller.status == "redone"
    sizes = [path.stat().st_size for path in smaller.path.glob("*.safetensors")]
    assert len(sizes) > len(shards)
    wanted = adapter_logits(checkpoint, base)
    model = AutoModelForCausalLM.from_pretrained(smaller.path)
    torch.testing.assert_close(logits_of(model), wanted, atol=1e-5, rtol=1e-5)


def test_another_number_format(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    checkpoint = make_adapter(base)
    result = merge(checkpoint, base, torch_dtype="bfloat16")
    wanted, found = peft_state(checkpoint, base), stored(result.path)
    assert all(torch.equal(found[name], wanted[name].bfloat16()) for name in wanted)
    model = AutoModelForCausalLM.from_pretrained(result.path)
    assert model.dtype == torch.bfloat16
    assert result.num_bytes == sum(item.numel() * 2 for item in wanted.values())
