"""Weights in shards over gloo ranks: the same training, and the same plain checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rank_jobs import assert_same_training, events, launch, numbers, run_job
from tiny_training import make_config, make_model

from selfcog.errors import ConfigError
from selfcog.model.adapter import load_adapter
from selfcog.model.load import load_model
from selfcog.train import sharding
from selfcog.train.dist import World

OUTPUT = {"eval_steps": 3, "save_total_limit": None, "save_only_model": False}


def job(folder: Path, tuner: str, fsdp: str | None = None, **more: Any) -> dict[str, Any]:
    """Six steps: some ranks have more forward passes than others, some have none."""
    train = {"global_batch_size": 11, "max_steps": 6, "tokens_per_batch": 64, "fsdp": fsdp}
    return {
        "run": str(folder),
        "train": train | more.pop("train", {}),
        "output": OUTPUT,
        "adapter": {"tuner_type": tuner},
        "replay": 7,
        "asks": True,
        **more,
    }


def test_shards_train_like_one_rank_and_leave_plain_checkpoints(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    one, shards = tmp_path / "one", tmp_path / "shards"
    for tuner in ("lora", "full"):
        run_job(tiny_model_dir, job(one / tuner, tuner))
    modes = [
        (tuner, fsdp, {}) for tuner in ("lora", "full") for fsdp in ("full_shard", "shard_grad_op")
    ]
    modes += [(tuner, "full_shard", {"gradient_checkpointing": True}) for tuner in ("lora", "full")]
    modes.append(("lora", "full_shard", {"packing": False}))
    # Where the processor has bfloat16, products are computed in it.
    half: dict[str, Any] = {"model": {"torch_dtype": "auto"}, "replay": 0}
    run_job(tiny_model_dir, job(one / "half", "full", **half))
    jobs, wanted = [job(shards / "half", "full", "full_shard", **half)], []
    for number, (tuner, fsdp, train) in enumerate(modes):
        jobs.append(job(shards / str(number), tuner, fsdp, train=train))
        wanted.append(one / tuner)
    for tuner in ("lora", "full"):
        resume = str(one / tuner / "checkpoint-3")
        jobs.append(job(shards / f"on-{tuner}", tuner, "shard_grad_op", resume=resume))
    launch(2, tiny_model_dir, jobs)
    for number, path in enumerate(wanted):
        assert_same_training(shards / str(number), path)
    assert numbers(shards / "half") == pytest.approx(numbers(one / "half"), rel=0.02)
    for tuner, number in (("lora", "0"), ("full", "2")):
        # Shards go on with what one rank began, and one rank with what shards began.
        resume = str(shards / number / "checkpoint-3")
        run_job(tiny_model_dir, job(tmp_path / f"off-{tuner}", tuner, resume=resume))
        whole = [event["loss"] for event in events(one / tuner, "step")]
        for path in (shards / f"on-{tuner}", tmp_path / f"off-{tuner}"):
            found = [event["loss"] for event in events(path, "step")]
            assert found == pytest.approx(whole[3:], rel=1e-4)
    # The folders are those that peft and transformers load, with nothing else needed.
    base = load_model(tiny_model_dir, device="cpu")
    ids = torch.arange(9)[None]
    before = base(input_ids=ids).logits
    tuned = load_adapter(base, shards / "0" / "checkpoint-6")
    full = load_model(shards / "2" / "checkpoint-6", device="cpu")
    for model in (tuned, full):
        assert (model(input_ids=ids).logits - before).abs().max() > 1e-3


def test_an_old_torch_and_an_unknown_model_are_refused(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(train={"fsdp": "full_shard"})
    model = make_model(tiny_model_dir, config)
    two = World(0, 2, torch.device("cpu"))
    monkeypatch.setattr(torch, "__version__", "2.8.1+cpu")
    with pytest.raises(ConfigError, match=r"--fsdp needs torch 2\.9 or newer, found 2\.8\.1\+cpu"):
        sharding.shard_model(model, config, two)
    monkeypatch.undo()
    monkeypatch.setattr(model.get_base_model(), "_no_split_modules", None)
    with pytest.raises(sharding.TrainError, match="Qwen2ForCausalLM cannot be sharded"):
        sharding.shard_model(model, config, two)


def test_one_rank_is_not_sharded(tiny_model_dir: Path) -> None:
    config = make_config(train={"fsdp": "full_shard"})
    world = World(0, 1, torch.device("cpu"))
    assert not sharding.shard_model(make_model(tiny_model_dir, config), config, world).active
    assert sharding.choose_place(config, world, tiny_model_dir) == {"torch_dtype": "float32"}
    place = sharding.choose_place(config, World(0, 2, torch.device("cpu")), tiny_model_dir)
    assert place == {"torch_dtype": "float32", "device": "cpu"}
