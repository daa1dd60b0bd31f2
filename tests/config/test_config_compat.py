"""ms-swift's spellings: accepted with their meaning, with a notice, or refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfcog.config.compat_table import ROWS
from selfcog.config.leaf import coerce, leaves_of
from selfcog.config.load import parse_command
from selfcog.config.schema import COMMANDS
from selfcog.errors import ConfigError

BASE = ["--model", "embedded", "--dataset", "a.jsonl"]
TUTORIAL = """
    --model_type qwen1half-14b-chat --model_id_or_path /models/Qwen1.5-14B-Chat
    --model_revision master --sft_type lora --tuner_backend swift --template_type qwen
    --dtype AUTO --output_dir /runs --ddp_backend nccl
    --custom_train_dataset_path DISC-Med-SFT_released.jsonl --train_dataset_sample 1000
    --num_train_epochs 3 --max_length 4096 --check_dataset_strategy warning
    --lora_rank 8 --lora_alpha 32 --lora_dropout_p 0.05 --lora_target_modules ALL
    --gradient_checkpointing true --batch_size 1 --weight_decay 0.01 --learning_rate 1e-5
    --max_grad_norm 0.5 --warmup_ratio 0.4 --eval_steps 10 --save_steps 10
    --save_total_limit 2 --logging_steps 5 --self_cognition_sample 500
    --model_name 扁仓 BianCang --model_author 某大学某研究组 QLU-NLP Research Group
"""


def sft(*words: str) -> Any:
    return parse_command("sft", [*BASE, *words]).config


def refuse(verb: str, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_command(verb, list(words))
    return str(caught.value)


def test_the_training_line_of_the_tutorial() -> None:
    parsed = parse_command("sft", TUTORIAL.split())
    config = parsed.config
    assert config.model.model == "/models/Qwen1.5-14B-Chat"
    assert config.model.model_revision is None
    assert config.model.torch_dtype == "auto"
    assert config.adapter.tuner_type == "lora"
    assert config.adapter.target_modules == ("all-linear",)
    assert (config.adapter.lora_rank, config.adapter.lora_alpha) == (8, 32)
    assert config.adapter.lora_dropout == 0.05
    assert config.data.dataset == ("DISC-Med-SFT_released.jsonl",)
    assert config.data.train_dataset_sample == 1000
    assert config.train.examples_per_step(8) == 16
    assert config.train.ddp_backend == "nccl"
    assert config.identity.self_cognition_sample == 500
    assert config.identity.model_name == ("扁仓", "BianCang")
    assert config.identity.model_author == ("某大学某研究组", "QLU-NLP", "Research", "Group")
    assert len(parsed.notices) == 3
    for flag in ("--model_type", "--template_type", "--tuner_backend"):
        assert any(flag in notice for notice in parsed.notices)


def test_the_other_lines_of_the_tutorial(tmp_path: Path) -> None:
    before = parse_command("infer", ["--model_type", "qwen", "--model_id_or_path", "/m"])
    assert before.config.model == "/m"
    export = parse_command(
        "export",
        [
            "--model_cache_dir",
            str(tmp_path),
            "--ckpt_dir",
            "checkpoint-280",
            "--merge_lora",
            "true",
        ],
    )
    assert export.config.model == str(tmp_path)
    assert export.config.ckpt_dir == "checkpoint-280"
    assert export.config.merge_lora is True
    assert export.notices == []
    after = parse_command("infer", ["--ckpt_dir", "checkpoint-280-merged"])
    assert after.config.model is None


def test_the_cache_folder_wins_over_the_id(tmp_path: Path) -> None:
    words = ["--model_id_or_path", "Qwen/Qwen1.5-14B-Chat", "--model_cache_dir"]
    both = [*words, str(tmp_path), "--dataset", "a"]
    assert parse_command("sft", both).config.model.model == str(tmp_path)
    parsed = parse_command("sft", [*words, "/does/not/exist", "--dataset", "a"])
    assert parsed.config.model.model == "Qwen/Qwen1.5-14B-Chat"
    assert any("is no folder" in notice for notice in parsed.notices)


@pytest.mark.parametrize(
    ("words", "section", "leaf", "expected"),
    [
        ("--train_type full", "adapter", "tuner_type", "full"),
        ("--lora_target_modules DEFAULT EMBEDDING", "adapter", "target_modules",
         ("default", "embedding")),
        ("--lora_target_modules q_proj,v_proj", "adapter", "target_modules", ("q_proj", "v_proj")),
        ("--target_modules all-linear", "adapter", "target_modules", ("all-linear",)),
        ("--dtype bf16", "model", "torch_dtype", "bfloat16"),
        ("--dtype fp16", "model", "torch_dtype", "float16"),
        ("--dtype fp32", "model", "torch_dtype", "float32"),
        ("--torch_dtype bfloat16", "model", "torch_dtype", "bfloat16"),
        ("--use_flash_attn true", "model", "attn_impl", "flash_attention_2"),
        ("--use_flash_attn", "model", "attn_impl", "flash_attention_2"),
        ("--use_flash_attn false", "model", "attn_impl", None),
        ("--template_type AUTO", "model", "template", None),
        ("--model_revision v2", "model", "model_revision", "v2"),
        ("--dataset_test_ratio 0.02", "data", "split_dataset_ratio", 0.02),
        ("--custom_train_dataset_path b c", "data", "dataset", ("a.jsonl", "b", "c")),
        ("--custom_val_dataset_path b", "data", "val_dataset", ("b",)),
        ("--truncation_strategy truncation_left", "data", "truncation_strategy", "left"),
        ("--strict true", "data", "check_dataset_strategy", "error"),
        ("--batch_size 4", "train", "per_device_train_batch_size", 4),
        ("--eval_batch_size 4", "train", "per_device_eval_batch_size", 4),
        ("--lr_scheduler_type constant_with_warmup", "train", "lr_scheduler_type", "constant"),
        ("--add_output_dir_suffix false", "output", "add_version", False),
        ("--disable_tqdm true", "output", "progress", False),
        ("--report_to none", "output", "report_to", ()),
        ("--report_to all", "output", "report_to", ("tensorboard",)),
        ("--metric_for_best_model eval_loss", "output", "metric_for_best_model", "loss"),
    ],
)  # fmt: skip
def test_meanings(words: str, section: str, leaf: str, expected: object) -> None:
    assert getattr(getattr(sft(*words.split()), section), leaf) == expected


@pytest.mark.parametrize(
    "words",
    [
        "--tuner_backend swift",
        "--check_model_is_latest false",
        "--lazy_tokenize true",
        "--preprocess_num_proc 4",
        "--dataloader_num_workers 1",
        "--test_oom_error",
        "--push_to_hub false",
        "--neftune_noise_alpha 0",
        "--optim adamw_torch",
        "--eval_strategy steps",
        "--use_hf true",
    ],
)
def test_flags_without_effect_give_one_notice(words: str) -> None:
    parsed = parse_command("sft", [*BASE, *words.split()])
    assert len(parsed.notices) == 1
    assert words.split()[0] in parsed.notices[0]
    assert parsed.config == sft()


@pytest.mark.parametrize(
    ("verb", "words", "parts"),
    [
        ("sft", "--sft_type longlora", ["--sft_type longlora", "lora or full"]),
        ("sft", "--quantization_bit 8", ["--quant_bits 8 is not supported", "give 4"]),
        ("sft", "--quant_method awq", ["--quant_method awq", "bnb"]),
        ("sft", "--quant_method bnb", ["--quant_method bnb needs --quant_bits 4"]),
        ("sft", "--quant_bits 4 --tuner_type full", ["--quant_bits 4", "--tuner_type lora"]),
        ("sft", "--quant_bits 4 --bnb_4bit_quant_type fp4", ["fp4", "only nf4"]),
        ("sft", "--fsdp hybrid_shard", ["--fsdp hybrid_shard", "full_shard or shard_grad_op"]),
        ("sft", "--push_to_hub true", ["--push_to_hub true", "not supported yet"]),
        ("sft", "--push_to_hub", ["--push_to_hub true", "not supported yet"]),
        ("sft", "--eval_strategy epoch", ["--eval_strategy epoch", "--eval_steps"]),
        ("sft", "--report_to wandb", ["--report_to wandb", "tensorboard"]),
        ("sft", "--optim lion", ["--optim lion", "AdamW"]),
        ("sft", "--lr_scheduler_type polynomial", ["polynomial", "cosine, linear or constant"]),
        ("infer", "--infer_backend vllm", ["--infer_backend vllm", "pt"]),
        ("infer", "--dataset a", ["--dataset a", "--val_dataset"]),
        ("export", "--ckpt_dir c --quant_bits 4", ["--quant_bits 4", "not supported yet"]),
        ("sft", "--model_id_or_path x", ["--model embedded", "--model_id_or_path x", "alone"]),
        ("sft", "--seed 1 --dataset_seed 1 --data_seed 2", ["--dataset_seed 1", "--data_seed 2"]),
    ],
)
def test_what_cannot_be_honoured_is_refused(verb: str, words: str, parts: list[str]) -> None:
    base = {"sft": BASE, "infer": ["--model", "m"], "export": ["--merge_lora"]}[verb]
    message = refuse(verb, *base, *words.split())
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--fsdp", "true"], "full_shard"),
        (["--fsdp", "fsdp2"], "full_shard"),
        (["--fsdp", "full_shard auto_wrap"], "full_shard"),
        (["--fsdp", "shard_grad_op"], "shard_grad_op"),
        (["--fsdp", "false"], None),
    ],
)
def test_spellings_of_fsdp(words: list[str], meant: str | None) -> None:
    assert parse_command("sft", [*BASE, *words]).config.train.fsdp == meant


@pytest.mark.parametrize(
    ("words", "method", "bits"),
    [
        ("--quant_method bnb --quant_bits 4 --bnb_4bit_quant_type nf4", "bnb", 4),
        ("--quantization_bit 4", None, 4),
        ("--quantization_bit 0", None, None),
    ],
)
def test_spellings_of_quantised_training(words: str, method: str | None, bits: int | None) -> None:
    model = parse_command("sft", [*BASE, *words.split()]).config.model
    assert (model.quant_method, model.quant_bits) == (method, bits)


def test_two_spellings_that_agree_are_fine() -> None:
    assert sft("--model_id_or_path", "embedded").model.model == "embedded"
    assert sft("--lora_dropout", "0.1", "--lora_dropout_p", ".10").adapter.lora_dropout == 0.1


def test_todays_identity_data_set() -> None:
    words = ["--dataset", "swift/self-cognition:qwen3#500", "b.jsonl#10"]
    names = ["--model_name", "小黄", "--model_author", "某组"]
    parsed = parse_command("sft", ["--model", "m", *words, *names])
    assert parsed.config.identity.self_cognition_sample == 500
    assert parsed.config.data.dataset == ("b.jsonl#10",)
    assert len(parsed.notices) == 1
    assert "selfcog's own bank" in parsed.notices[0]
    alone = parse_command("sft", ["--model", "m", "--dataset", "self-cognition#7", *names])
    assert alone.config.identity.self_cognition_sample == 7
    assert alone.config.data.dataset == ()
    assert "needs a name" in refuse("sft", "--model", "m", *words)


def test_a_folder_of_that_name_is_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "self-cognition").mkdir()
    monkeypatch.chdir(tmp_path)
    config = parse_command("sft", ["--model", "m", "--dataset", "self-cognition#5"]).config
    assert config.data.dataset == ("self-cognition#5",)


def test_infer_flags() -> None:
    words = (
        "--ckpt_dir c --load_args_from_ckpt_dir false --do_sample false --eval_human true "
        "--load_dataset_config true --show_dataset_sample 5 --max_new_tokens 9 --stream false "
        "--infer_backend pt --sft_type lora --template_type qwen"
    )
    parsed = parse_command("infer", words.split())
    assert parsed.config.load_args is False
    assert parsed.config.temperature == 0
    assert parsed.config.val_dataset_sample == 5
    assert parsed.config.max_new_tokens == 9
    assert parsed.config.stream is False
    assert parse_command("infer", ["--ckpt_dir", "c", "--do_sample", "true"]).config.temperature > 0


def test_greedy_wins_over_a_temperature() -> None:
    words = ["--ckpt_dir", "c", "--temperature", "0.9", "--do_sample", "false"]
    parsed = parse_command("infer", words)
    assert parsed.config.temperature == 0
    assert any("--temperature is not used" in notice for notice in parsed.notices)


def test_the_table_is_sound() -> None:
    """No flag twice for a verb, no own flag shadowed, every translation is a value of its leaf."""
    seen = set()
    for row in ROWS:
        for verb in row.verbs:
            assert (verb, row.old) not in seen
            seen.add((verb, row.old))
            leaves = leaves_of(COMMANDS[verb])
            if row.new is None:
                assert row.old not in leaves, (verb, row.old)
                continue
            assert row.old == row.new or row.old not in leaves, (verb, row.old)
            leaf = leaves[row.new]
            assert leaf.is_list == row.is_list, (verb, row.old)
            for theirs, ours in row.values.items():
                assert theirs == theirs.lower()
                if ours is not None:
                    coerce(leaf, [ours])
