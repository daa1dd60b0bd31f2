"""A small model whose answers vary, and a checkpoint with an adapter for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from selfcog.runs import CheckpointInfo


@dataclass(frozen=True)
class Run:
    base: Path
    checkpoint: Path


@pytest.fixture(scope="session")
def wild_run(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Random weights so large that answers wander; the adapter changes them."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("wild")
    config = AutoConfig.from_pretrained(tiny_model_dir)
    config.tie_word_embeddings, config.initializer_range = False, 0.5
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config)
    base, checkpoint = folder / "base", folder / "run" / "checkpoint-7"
    model.save_pretrained(base)
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(base)
    settings = LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "up_proj"], init_lora_weights=False
    )
    get_peft_model(model, settings).save_pretrained(checkpoint)
    CheckpointInfo(str(base), "lora", step=7, system="Be brief.").write(checkpoint)
    return Run(base, checkpoint)


@pytest.fixture
def run(wild_run: Run) -> Run:
    """The same, without what earlier tests left in it."""
    import shutil

    shutil.rmtree(wild_run.checkpoint / "infer_result", ignore_errors=True)
    for path in wild_run.checkpoint.parent.glob("checkpoint-7-*"):
        shutil.rmtree(path)
    return wild_run
