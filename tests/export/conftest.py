"""Small bases and adapters of every kind, made on the spot."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeBase = Callable[..., Path]
MakeAdapter = Callable[..., Path]


@pytest.fixture
def make_base(tiny_model_dir: Path, tmp_path: Path) -> MakeBase:
    """A copy of the tiny model with other weights: dtype, tied or not, cut into shards."""

    def make(
        dtype: str = "float32", *, tied: bool = False, max_shard_size: str = "5GB", seed: int = 1
    ) -> Path:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        config = AutoConfig.from_pretrained(tiny_model_dir)
        config.tie_word_embeddings = tied
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):  # all ones in a new model: nothing to tell apart
                parameter.data += torch.randn_like(parameter) / 10
        folder = tmp_path / f"base-{dtype}-{tied}-{seed}"
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def make_adapter(tmp_path: Path) -> MakeAdapter:
    """A checkpoint folder with a random adapter that changes the base visibly."""

    def make(base: Path, step: int = 1, seed: int = 2, size: float = 1.0, **settings: Any) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        settings.setdefault("target_modules", ["q_proj", "v_proj", "down_proj"])
        config = LoraConfig(task_type="CAUSAL_LM", **{"r": 4, "lora_alpha": 8, **settings})
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    if "lora_embedding" in name:
                        parameter.copy_(torch.randn_like(parameter) * size / 20)
                    elif parameter.requires_grad:
                        parameter += torch.randn_like(parameter) * size / 20
            folder = tmp_path / "run" / f"checkpoint-{step}"
            model.save_pretrained(folder)
        return folder

    return make
