"""Training on 4-bit weights: what is asked of transformers, and what is refused without a GPU.

The loop itself runs with bitsandbytes only, where that is installed; its CPU path stands in for
CUDA's.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from selfcog.errors import ConfigError, MissingExtraError
from selfcog.model import quant
from selfcog.model.adapter import add_adapter, count_parameters
from selfcog.model.load import load_model

HAS_BITSANDBYTES = importlib.util.find_spec("bitsandbytes") is not None


def test_without_a_gpu_or_the_package_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"needs an NVIDIA GPU, and torch .+ finds none"):
        quant.check_quantization()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'selfcog\[quant\]'"):
        quant.check_quantization()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    quant.check_quantization()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_command_says_so_in_one_line_before_anything_is_written(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"query": "a", "response": "b"}\n' * 4)
    words = ["sft", "--model", str(tiny_model_dir), "--dataset", "rows.jsonl", "--quant_bits", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "selfcog", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("selfcog: error: --quant_bits 4 needs an NVIDIA GPU")
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_what_transformers_is_asked_for(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NF4, scales quantised too, products in the given format, onto one device, never moved."""
    from transformers import AutoModelForCausalLM

    asked: dict[str, Any] = {}

    def load(folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
        asked.update(options)
        return SimpleNamespace(eval=lambda: "the model"), {"missing_keys": []}

    real_version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "0.50.0" if name == "bitsandbytes" else real_version(name),
    )
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", load)
    device = torch.device("cpu")
    model = load_model(tiny_model_dir, torch_dtype="bfloat16", device=device, in_4_bits=True)
    assert model == "the model"
    settings = asked["quantization_config"].to_dict()
    assert settings["load_in_4bit"] and settings["bnb_4bit_quant_type"] == "nf4"
    assert settings["bnb_4bit_use_double_quant"]
    assert settings["bnb_4bit_compute_dtype"] == "bfloat16"
    assert asked["device_map"] == {"": device} and asked["dtype"] == torch.bfloat16


def test_packed_weights_are_counted_one_by_one() -> None:
    class Params4bit(nn.Parameter):
        pass

    layer = nn.Linear(6, 4, bias=False)
    packed = Params4bit(torch.zeros(12, 1, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = SimpleNamespace(shape=torch.Size([4, 6]))  # type: ignore[attr-defined]
    layer.weight = packed
    assert count_parameters(layer).total == 24


@pytest.mark.skipif(not HAS_BITSANDBYTES, reason="bitsandbytes is not installed")
def test_an_adapter_of_4_bit_weights_is_merged_into_the_16_bit_base(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
    from tiny_training import make_config, run_training

    from selfcog.export.merge import MergeOptions, merge_checkpoint

    model = load_model(tiny_model_dir, torch_dtype="bfloat16", device="cpu", in_4_bits=True)
    total = count_parameters(load_model(tiny_model_dir, device="cpu")).total
    assert count_parameters(model).total == total
    for module in model.modules():
        # bitsandbytes packs weights anew on CPUs that have AVX-512, for inference only.
        module.support_avx512bf16_for_cpu = False
    config = make_config(train={"max_steps": 3, "learning_rate": 0.02, "global_batch_size": 24})
    events: list[Any] = []
    tuned = add_adapter(model, config.adapter)
    done = run_training(tiny_model_dir, tmp_path, config, model=tuned, events=events)
    losses = [event.loss for event in events if hasattr(event, "grad_norm")]
    assert losses[-1] < losses[0]
    merged = merge_checkpoint(
        done.last_checkpoint, tiny_model_dir, options=MergeOptions(check=False)
    )
    before = load_file(tiny_model_dir / "model.safetensors")
    after = load_file(merged.path / "model.safetensors")
    adapter = load_file(done.last_checkpoint / "adapter_model.safetensors")
    name = "model.layers.0.self_attn.q_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    change = after[f"{name}.weight"] - before[f"{name}.weight"]
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(change, 2.0 * b @ a, atol=1e-5, rtol=1e-3)
