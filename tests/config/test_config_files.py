"""Settings files: YAML and JSON, tree and flat, texts as written, errors with a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfcog.config.load import dump_yaml, load_config, parse_command
from selfcog.errors import ConfigError

TREE = """\
model: {model: embedded}
identity:
  model_name: [007, No]
  model_author: null
  version: 1.0
  based_on: null
  website: "null"
  self_cognition_sample: 5
train:
  learning_rate: 1e-4
"""
FLAT = """\
model: embedded
model_name: [007, No]
model_author: [null]
version: 1.0
based_on:
website: 'null'
self-cognition-sample: 5
learning_rate: 0.0001
""".replace("self-cognition-sample", "self_cognition_sample")


def write(folder: Path, text: str, name: str = "run.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_tree_and_flat_are_the_same(tmp_path: Path) -> None:
    tree = load_config(write(tmp_path, TREE))
    assert load_config(write(tmp_path, FLAT, "flat.yaml")) == tree
    identity = tree.identity
    assert identity.model_name == ("007", "No")
    # Texts that must be there are texts; a text that may be left open can be null.
    assert identity.model_author == ("null",)
    assert (identity.version, identity.based_on, identity.website) == ("1.0", None, "null")
    assert tree.train.learning_rate == 1e-4


def test_default_then_file_then_flag(tmp_path: Path) -> None:
    path = write(tmp_path, "model: embedded\ndataset: [a, b]\nlora_rank: 4\nseed: 1\n")
    for words in ([path, "--seed", "2", "--dataset", "c"], ["--seed=2", "--dataset=c", path]):
        if words[-1] == path:
            words = [*words[:-1], "--config", path]
        config = parse_command("sft", words).config
        assert (config.adapter.lora_rank, config.train.seed) == (4, 2)
        assert config.data.dataset == ("c",)
        assert config.adapter.lora_alpha is None


def test_file_and_flag_in_different_spellings(tmp_path: Path) -> None:
    path = write(tmp_path, "model_id_or_path: /theirs\ndataset: a\nbatch_size: 2\n")
    config = parse_command("sft", [path, "--model", "/ours"]).config
    assert config.model.model == "/ours"
    assert config.train.per_device_train_batch_size == 2


def test_a_json_file_of_ms_swift(tmp_path: Path) -> None:
    text = """{
      "model_type": "qwen1half-4b-chat", "model_id_or_path": "/models/q", "sft_type": "lora",
      "custom_train_dataset_path": ["a.jsonl"], "model_name": [null, null],
      "model_author": ["007", "No"], "self_cognition_sample": 0, "learning_rate": 0.0001,
      "gradient_checkpointing": true, "deepspeed": null, "lora_target_modules": ["ALL"],
      "batch_size": 1, "quantization_bit": 0, "system": null, "lora_dropout_p": 0.05,
      "num_train_epochs": 1, "neftune_noise_alpha": null
    }"""
    config = load_config(write(tmp_path, text, "sft_args.json"))
    assert config.model.model == "/models/q"
    assert config.data.dataset == ("a.jsonl",)
    assert config.identity.model_name == ()
    assert config.identity.model_author == ("007", "No")
    assert config.adapter.target_modules == ("all-linear",)
    assert config.train.learning_rate == 1e-4
    assert config.train.gradient_checkpointing is True
    assert config.model.system is None


def test_a_dump_is_complete_and_loads_again(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, TREE))
    text = dump_yaml(config)
    for name in ("lora_rank", "metric_for_best_model", "enable_thinking"):
        assert f"\n  {name}: " in text
    parsed = parse_command("sft", [write(tmp_path, text, "config.yaml")])
    assert parsed.config == config
    assert parsed.notices == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("model: m\ntrain:\n  learning_rat: 1\n", [":3: ", "learning_rat", "learning_rate?"]),
        ("model: m\ntrian:\n  seed: 1\n", [":2: ", "trian", "did you mean train?"]),
        ("model: m\ntrain:\n  lora_rank: 1\n", [":3: ", "key of adapter, not of train"]),
        ("model: m\ndataset: a\nlora_rank: 0\n", [":3: lora_rank 0", "an integer ≥ 1"]),
        ("model: m\ndataset: a\nseed: [1, 2]\n", [":3: seed", "takes one value"]),
        ("model: m\nseed:\n", [":2: seed", "needs a value"]),
        ("model: m\nseed: 1\nseed: 2\n", [":3: seed is given twice", "line 2"]),
        ("model: m\ndataset: [[a]]\n", [":2: dataset", "plain values"]),
        ("model: m\n sub: [\n", [":2: not YAML"]),
        ("model: &a [*a]\n", ["model"]),
        ("- model\n", ["must be a mapping"]),
        ("", ["no settings"]),
        ("# nothing\n", ["no settings"]),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    message = str(caught.value)
    assert "run.yaml" in message
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"model": "m",\n "seed": }', [":2: not JSON"]),
        ('{"model": "m",\n "sede": 1}', [":2: ", "did you mean seed?"]),
        ('{"model": "m",\n "dataset": "a", "seed": -1}', [":2: seed -1", "≥ 0"]),
        ('{"seed": 1, "seed": 2}', ["seed is given twice"]),
        ("[1]", ["must be an object"]),
    ],
)
def test_json_errors_name_file_and_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text, "run.json"))
    for part in ["run.json", *parts]:
        assert part in str(caught.value)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, TREE)
    with pytest.raises(ConfigError, match=r"does not exist; did you mean .*run\.yaml\?"):
        load_config(tmp_path / "rum.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_config(tmp_path)
    (tmp_path / "gb.yaml").write_bytes("model_name: 小黄".encode("gb18030"))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_config(tmp_path / "gb.yaml")


def test_two_files_are_refused(tmp_path: Path) -> None:
    path: Any = write(tmp_path, TREE)
    with pytest.raises(ConfigError, match="two settings files"):
        parse_command("sft", [path, "--config", path])
