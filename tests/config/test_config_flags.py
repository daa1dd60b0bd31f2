"""Words of a command line: how they are grouped, typed and refused."""

from __future__ import annotations

from typing import Any

import pytest

from selfcog.config.load import make_config, parse_command
from selfcog.errors import ConfigError

BASE = ["--model", "embedded", "--dataset", "a.jsonl"]
NAMES = ["--self_cognition_sample", "5", "--model_name", "a", "--model_author", "b"]


def sft(*words: str) -> Any:
    return parse_command("sft", [*BASE, *words]).config


def refuse(*words: str, verb: str = "sft", base: list[str] = BASE) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_command(verb, [*base, *words])
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_spellings_of_one_flag() -> None:
    for words in (
        ["--learning_rate", "1e-4"],
        ["--learning-rate", "1e-4"],
        ["--learning_rate=1e-4"],
        ["--learning-rate=.0001"],
    ):
        assert sft(*words).train.learning_rate == 1e-4


def test_lists_take_words_and_repetition() -> None:
    data = sft("--val_dataset", "b", "c", "--max_length", "64", "--val_dataset=d").data
    assert data.dataset == ("a.jsonl",)
    assert data.val_dataset == ("b", "c", "d")
    identity = sft(
        "--model_name", "扁仓", "BianCang", "--model_author", "某组", "QLU-NLP", "Research", "Group"
    ).identity
    assert identity.model_name == ("扁仓", "BianCang")
    assert identity.model_author == ("某组", "QLU-NLP", "Research", "Group")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--use_dora"], True),
        (["--use_dora", "true"], True),
        (["--use_dora", "Yes"], True),
        (["--use_dora=1"], True),
        (["--use_dora", "0"], False),
        (["--use_dora", "no"], False),
        (["--use_dora", "--packing", "false"], True),
    ],
)
def test_switches(words: list[str], expected: bool) -> None:
    assert sft(*words).adapter.use_dora is expected


def test_negative_numbers_are_values() -> None:
    config = sft("--max_steps", "-1", "--train_dataset_sample", "-1")
    assert config.train.max_steps == -1
    assert config.data.train_dataset_sample == -1


@pytest.mark.parametrize("text", ["", "007", "No", "null", "1.0", "小黄", 'O\'Brien "Q"', "{{x}}"])
def test_text_stays_text(text: str) -> None:
    config = sft("--system", text, f"--version={text}", "--run_name", text)
    assert (config.model.system, config.identity.version, config.output.run_name) == (text,) * 3


def test_open_numbers_can_be_unset() -> None:
    assert sft("--save_total_limit", "none").output.save_total_limit is None


def test_columns_are_a_json_object() -> None:
    assert sft("--columns", '{"问": "query"}').data.columns == {"问": "query"}
    assert "is not JSON" in refuse("--columns", "{q: query}")
    assert "does not map texts to texts" in refuse("--columns", '{"q": 1}')


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--learning_rat", "1"], ["unknown flag --learning_rat; did you mean --learning_rate?"]),
        (["--lr", "1"], ["did you mean --learning_rate?"]),
        (["--batchsize", "1"], ["did you mean --batch_size?"]),
        (["--qqqq", "1"], ["unknown flag --qqqq", "--help"]),
        (["--qqqq", "--model_nam", "x"], ["--qqqq", "--model_nam (did you mean --model_name?)"]),
        (["--lora_rank", "0"], ["--lora_rank 0", "an integer ≥ 1"]),
        (["--lora_rank", "eight"], ["--lora_rank eight", "an integer ≥ 1"]),
        (["--warmup_ratio", "1.5"], ["--warmup_ratio 1.5", "≥ 0 and ≤ 1"]),
        (["--learning_rate", "nan"], ["--learning_rate nan", "a number > 0"]),
        (["--learning_rate", "1e999"], ["--learning_rate 1e999", "a number > 0"]),
        (["--seed", "4294967296"], ["--seed 4294967296", "≤"]),
        (["--packing", "maybe"], ["--packing maybe", "true or false"]),
        (["--tuner_type", "longlora"], ["--tuner_type longlora", "lora or full"]),
        (["--seed", "1", "--seed", "2"], ["--seed is given twice (1 and 2)"]),
        (["--seed"], ["--seed needs a value"]),
        (["--val_dataset"], ["--val_dataset needs a value"]),
        (["--system", "be", "nice"], ["unexpected word nice after --system", "quotes"]),
        (["—seed", "1"], ["two plain hyphens", "--seed"]),
        (["-seed", "1"], ["two plain hyphens", "--seed"]),
        (["--output_dir", ""], ["--output_dir is empty"]),
        (["--max_steps", "0"], ["--max_steps 0 trains nothing"]),
        (["--global_batch_size", "8", "--gradient_accumulation_steps", "2"], ["give one of them"]),
        (["--deepspeed", "zero2", "--fsdp", "full_shard"], ["zero2", "full_shard", "give one"]),
        (["--self_cognition_sample", "500"], ["500", "--model_name", "--model_author"]),
        (["--model_name", "a", "--self_cognition_sample", "5"], ["--model_author"]),
        ([*NAMES[:-1], " "], ["--model_author has an empty word"]),
        (["--model_name", "\udce5"], ["UTF-8"]),
    ],
)
def test_refusals_name_flag_value_and_remedy(words: list[str], parts: list[str]) -> None:
    message = refuse(*words)
    for part in parts:
        assert part in message


def test_what_a_whole_command_needs() -> None:
    assert refuse(base=[]).startswith("--model is missing")
    assert "--model_type alone" in refuse("--model_type", "qwen", base=[])
    assert refuse(base=["--model", "embedded"]).startswith("nothing to train on")
    assert refuse(verb="infer", base=[]).startswith("nothing to load")
    assert refuse(verb="export", base=["--ckpt_dir", "c"]).startswith("nothing to do")
    assert refuse(verb="export", base=["--merge_lora"]).startswith("nothing to export")
    assert "put quotes" in refuse("--query", "who", "are", "you", verb="infer", base=[])


def test_a_name_without_identity_rows_is_noticed() -> None:
    parsed = parse_command("sft", [*BASE, "--model_name", "小黄"])
    assert len(parsed.notices) == 1
    assert "will not be learnt" in parsed.notices[0]
    assert parse_command("sft", [*BASE, *NAMES]).notices == []


def test_questions_are_one_word_each() -> None:
    config = parse_command("infer", ["--model", "m", "--query", "a b", "--query=c"]).config
    assert config.query == ("a b", "c")


def test_make_config_takes_python_values() -> None:
    config = make_config("sft", {"model": "embedded", "dataset": "a.jsonl", "lora_rank": 4})
    assert config.data.dataset == ("a.jsonl",)
    assert config.adapter.lora_rank == 4
    with pytest.raises(ConfigError, match="did you mean lora_rank"):
        make_config("sft", {"model": "embedded", "lora_rnk": 4})
    with pytest.raises(ConfigError, match="lora_rank 0 is not possible; give an integer ≥ 1"):
        make_config("sft", {"model": "embedded", "dataset": "a", "lora_rank": 0})
