"""A scaled adapter is what peft computes with another scale, for every loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from peft.helpers import rescale_adapter_scale
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from selfcog.errors import ExportError
from selfcog.export.merge import MergeOptions, merge_checkpoint
from selfcog.export.scale import scale_adapter, why_not_scalable

WEIGHTS = "adapter_model.safetensors"
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"down_proj": 6}, "alpha_pattern": {"v_proj": 3}},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "bias of the second matrix": {"lora_bias": True},
}
pytestmark = pytest.mark.filterwarnings("ignore")


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(10, 60)[None]).logits


def load(adapter: Path, base: Path) -> Any:
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)


def expected(adapter: Path, base: Path, factor: float) -> torch.Tensor:
    """By peft, without writing anything."""
    model = load(adapter, base)
    with rescale_adapter_scale(model, factor):
        return logits_of(model)


def metadata_of(adapter: Path) -> dict[str, Any]:
    with safe_open(str(adapter / WEIGHTS), framework="pt") as file:
        found = file.metadata()
    return {**found, "selfcog": json.loads(found.get("selfcog", "{}"))}


def assert_alike(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.2])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_pefts_scale(kind: str, factor: float, make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    adapter = make_adapter(base, **KINDS[kind])
    whole, wanted = expected(adapter, base, 1.0), expected(adapter, base, factor)
    assert not torch.allclose(whole, wanted, atol=1e-3)
    assert why_not_scalable(adapter) == ""
    scale_adapter(adapter, factor)
    assert_alike(logits_of(load(adapter, base)), wanted)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["embed_tokens", "q_proj"], "ensure_weight_tying": True},
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["lm_head", "q_proj"]},
    ],
    ids=["both tied", "embedding", "head"],
)
def test_tied_embeddings_shrink_with_their_head(
    settings: dict[str, Any], make_base: Any, make_adapter: Any
) -> None:
    base = make_base(tied=True)
    adapter = make_adapter(base, **settings)
    wanted = expected(adapter, base, 0.6)
    assert not torch.allclose(expected(adapter, base, 1.0), wanted, atol=1e-3)
    scale_adapter(adapter, 0.6)
    assert_alike(logits_of(load(adapter, base)), wanted)


@pytest.mark.parametrize("kind", ["lora", "rslora", "embedding"])
def test_merging_follows(kind: str, make_base: Any, make_adapter: Any) -> None:
    """Also where the adapter was merged as it was before."""
    base = make_base()
    adapter = make_adapter(base, **KINDS[kind])
    options = MergeOptions(check=False)
    merge_checkpoint(adapter, base, options=options)
    wanted = expected(adapter, base, 0.7)
    scale_adapter(adapter, 0.7)
    result = merge_checkpoint(adapter, base, options=options)
    assert result.status == "redone"
    assert_alike(logits_of(AutoModelForCausalLM.from_pretrained(result.path)), wanted)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use_dora": True}, "DoRA's magnitudes do not shrink with it"),
        ({"modules_to_save": ["lm_head"]}, r"whole modules \(--modules_to_save\)"),
    ],
    ids=["dora", "modules_to_save"],
)
def test_what_one_factor_cannot_do_is_refused(
    settings: dict[str, Any], reason: str, make_base: Any, make_adapter: Any
) -> None:
    adapter = make_adapter(make_base(), **settings)
    before = (adapter / WEIGHTS).read_bytes()
    with pytest.raises(ExportError, match=rf"checkpoint-1 cannot be scaled: .*{reason}"):
        scale_adapter(adapter, 0.5)
    assert (adapter / WEIGHTS).read_bytes() == before


def test_trained_biases_are_refused(make_base: Any, make_adapter: Any) -> None:
    """They are no product of two matrices either."""
    adapter = make_adapter(make_base(), bias="lora_only")
    biases = [name for name in load_file(adapter / WEIGHTS) if "lora_" not in name]
    assert biases
    with pytest.raises(ExportError, match="cannot be scaled"):
        scale_adapter(adapter, 0.5)


def test_only_second_matrices_change_and_keep_their_format(
    make_base: Any, make_adapter: Any
) -> None:
    adapter = make_adapter(make_base())
    before = {name: tensor.bfloat16() for name, tensor in load_file(adapter / WEIGHTS).items()}
    save_file(before, adapter / WEIGHTS, {"format": "pt", "other": "note"})
    scale_adapter(adapter, 0.7)
    after = load_file(adapter / WEIGHTS)
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        # Rounded once: the product in float32, then the format of the file.
        wanted = (before[name].float() * 0.7).bfloat16() if "lora_B" in name else before[name]
        assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, wanted), name
    assert metadata_of(adapter) == {"format": "pt", "other": "note", "selfcog": {"scale": 0.7}}


def test_scaling_twice_multiplies(make_base: Any, make_adapter: Any) -> None:
    base = make_base()
    adapter = make_adapter(base)
    wanted = expected(adapter, base, 0.4)
    scale_adapter(adapter, 0.5)
    scale_adapter(adapter, 0.8)
    assert metadata_of(adapter)["selfcog"]["scale"] == pytest.approx(0.4)
    assert metadata_of(adapter)["format"] == "pt"
    assert_alike(logits_of(load(adapter, base)), wanted)


def test_a_crash_leaves_the_old_adapter(
    make_base: Any, make_adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_adapter(make_base())
    before = {path.name: path.read_bytes() for path in adapter.iterdir() if path.is_file()}

    def full_disk(tensors: Any, name: str, metadata: Any) -> None:
        Path(name).write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        scale_adapter(adapter, 0.5)
    after = {path.name: path.read_bytes() for path in adapter.iterdir() if path.is_file()}
    assert after == before


def test_others_may_read_the_result(make_base: Any, make_adapter: Any) -> None:
    adapter = make_adapter(make_base())
    scale_adapter(adapter, 0.5)
    assert (adapter / WEIGHTS).stat().st_mode & 0o777 == 0o644
