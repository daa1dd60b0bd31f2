"""What --deepspeed asks for: by word, in the tutorial's spelling, and from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfcog.config.load import parse_command
from selfcog.config.parallel import Sharding, choose_sharding
from selfcog.errors import ConfigError

# As ms-swift 1.7 shipped it for default-zero3, shortened.
ZERO3: dict[str, Any] = {
    "bf16": {"enabled": "auto"},
    "optimizer": {"type": "AdamW", "params": {"lr": "auto", "weight_decay": "auto"}},
    "scheduler": {"type": "WarmupDecayLR", "params": {"warmup_num_steps": "auto"}},
    "zero_optimization": {
        "stage": 3,
        "offload_optimizer": {"device": "none", "pin_memory": True},
        "overlap_comm": True,
        "reduce_bucket_size": "auto",
    },
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "steps_per_print": 2000,
    "train_batch_size": "auto",
}


def sharding(value: str, tuner: str = "lora") -> Sharding:
    words = ["--model", "embedded", "--dataset", "a", "--deepspeed", value, "--tuner_type", tuner]
    return choose_sharding(parse_command("sft", words).config)


def write(folder: Path, **changes: Any) -> str:
    path = folder / "ds.json"
    path.write_text(json.dumps(ZERO3 | changes))
    return str(path)


@pytest.mark.parametrize(
    ("value", "tuner", "shards", "keeps", "notice"),
    [
        ("zero3", "lora", True, False, "as --fsdp full_shard"),
        ("default-zero3", "full", True, False, "as --fsdp full_shard"),
        ("zero2", "full", True, True, "as --fsdp shard_grad_op"),
        ("default-zero2", "lora", False, False, "the optimiser states of an adapter"),
        ("zero1", "full", True, True, "as --fsdp shard_grad_op"),
        ("zero0", "full", False, False, "shares nothing out"),
        ("zero3_offload", "lora", True, False, "nothing is moved to main memory"),
        ("ZERO2_offload", "lora", False, False, "nothing is moved to main memory"),
    ],
)
def test_a_word_means_what_its_stage_is_for(
    value: str, tuner: str, shards: bool, keeps: bool, notice: str
) -> None:
    found = sharding(value, tuner)
    assert (found.shards_weights, found.keeps_gathered) == (shards, keeps)
    [line] = found.notices
    assert notice in line and "\n" not in line


def test_a_file_is_read_and_what_is_not_used_is_named(tmp_path: Path) -> None:
    found = sharding(write(tmp_path))
    assert found.shards_weights and not found.keeps_gathered
    [line] = found.notices
    assert line.endswith("not used from the file: steps_per_print, zero_optimization.overlap_comm")
    zero = {"stage": 2, "offload_optimizer": {"device": "cpu"}}
    found = sharding(write(tmp_path, zero_optimization=zero, fp16={"enabled": True}), "full")
    assert found.keeps_gathered
    assert "nothing is moved to main memory" in found.notices[0]
    assert "not used from the file: steps_per_print, fp16" in found.notices[0]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"train_batch_size": 32}, ["train_batch_size 32", "--global_batch_size"]),
        ({"gradient_clipping": 0.5}, ["gradient_clipping 0.5", "--max_grad_norm"]),
        (
            {"optimizer": {"type": "AdamW", "params": {"lr": 1e-3}}},
            ["lr 0.001 (optimizer)", "--learning_rate"],
        ),
        ({"optimizer": {"type": "Lamb", "params": {}}}, ["type Lamb (optimizer)"]),
        ({"zero_optimization": {"stage": 4}}, ["no stage of 0, 1, 2 or 3 (found 4)"]),
        ({"zero_optimization": {"stage": "auto"}}, ["(found 'auto')"]),
        ({"zero_optimization": 3}, ["no stage"]),
    ],
)
def test_a_file_that_wants_another_training_is_refused(
    changes: dict[str, Any], parts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        sharding(write(tmp_path, **changes))
    for part in (*parts, "--deepspeed", "ds.json"):
        assert part in str(caught.value)


def test_neither_word_nor_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--deepspeed zero9 is no file, and none of zero0, "):
        sharding("zero9")
    broken = tmp_path / "broken.json"
    for text, message in (("{", "cannot be read as JSON"), ("[]", "is no JSON object")):
        broken.write_text(text)
        with pytest.raises(ConfigError, match=message):
            sharding(str(broken))


@pytest.mark.parametrize("flag", ["--fsdp full_shard", "--deepspeed zero3"])
def test_weights_in_4_bits_are_not_shared_out(flag: str) -> None:
    words = ["--model", "embedded", "--dataset", "a", "--quant_bits", "4"]
    with pytest.raises(ConfigError, match=f"{flag} cannot share out weights of --quant_bits 4"):
        choose_sharding(parse_command("sft", [*words, *flag.split()]).config)
    assert not choose_sharding(
        parse_command("sft", [*words, "--deepspeed", "zero2"]).config
    ).shards_weights
