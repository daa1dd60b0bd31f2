"""Lists of values → trials: arithmetic, names, and what is refused before anything is trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import made_up
import pytest

from selfcog.config.leaf import leaves_of
from selfcog.config.load import dump_yaml, load_config, parse_command
from selfcog.config.schema import SftConfig, SweepConfig
from selfcog.errors import ConfigError
from selfcog.sweep import Trial
from selfcog.sweep.grid import SWEPT, claim_folder, make_grid, sft_part, with_values

BASE = (
    *("--model", "embedded", "--self_cognition_sample", "20"),
    *("--model_name", "小黄", "--model_author", "某组"),
)


def parse(*words: str) -> SweepConfig:
    config = parse_command("sweep", [*BASE, *words]).config
    assert isinstance(config, SweepConfig)
    return config


def grid_of(*words: str) -> Any:
    return grid_of_words(*BASE, *words)


def grid_of_words(*words: str) -> Any:
    config = parse_command("sweep", words).config
    return make_grid(sft_part(config), config.sweep)


def test_every_swept_name_is_a_setting_of_sft() -> None:
    assert len(SWEPT) == 6
    assert set(SWEPT) <= set(leaves_of(SftConfig))


def test_a_grid_is_every_combination_with_every_seed() -> None:
    points = grid_of(
        *("--sweep_identity_share", "0.1", "0.3", "--sweep_max_steps", "60", "120", "240"),
        *("--sweep_seeds", "1", "2", "--lora_rank", "8"),
    )
    assert len(points) == 6
    assert [list(one.values.values()) for one in points[:4]] == [
        [0.1, 60],
        [0.1, 120],
        [0.1, 240],
        [0.3, 60],
    ]
    for point in points:
        assert [one.config.train.seed for one in point.trials] == [1, 2]
        for trial in point.trials:
            config = trial.config
            assert config.teacher.identity_share == point.values["identity_share"]
            assert config.train.max_steps == point.values["max_steps"]
            assert config.adapter.lora_rank == 8
    assert points[0].trials[1].name == "identity_share=0.1 max_steps=60 seed=2"


def test_seeds_alone_are_a_grid_of_one_point() -> None:
    (point,) = grid_of("--sweep_seeds", "3", "4")
    assert (point.name, len(point.trials)) == ("as given", 2)


def test_a_swept_value_needs_no_other_one_beside_it() -> None:
    words = ["--model", "embedded", *BASE[4:], "--sweep_self_cognition_sample", "20", "40"]
    points = grid_of_words(*words)
    assert [p.trials[0].config.identity.self_cognition_sample for p in points] == [20, 40]
    with pytest.raises(ConfigError, match="nothing to train on"):
        grid_of_words("--model", "embedded", "--sweep_lora_rank", "4")


def test_ms_swift_flags_and_files_of_sft_get_through(tmp_path: Path) -> None:
    file = tmp_path / "sft.yaml"
    file.write_text(dump_yaml(made_up.settings(lora_rank=4)), encoding="utf-8")
    words = ["--config", str(file), "--sft_type", "lora", "--batch_size", "2"]
    config = parse_command("sweep", [*words, "--sweep_learning_rate", "1e-3", "2e-3"]).config
    assert config.train.per_device_train_batch_size == 2
    assert config.adapter.lora_rank == 4
    again = tmp_path / "again.yaml"
    again.write_text(dump_yaml(config), encoding="utf-8")
    assert load_config(again, "sweep") == config
    assert type(sft_part(config)) is SftConfig


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is swept"),
        (["--sweep_max_steps", "60", "60"], "--sweep_max_steps names 60 twice"),
        (["--sweep_max_steps", "0"], "integer ≥ 1"),
        (["--sweep_identity_share", "1"], "> 0 and < 1"),
        (["--sweep_lora_rnk", "4"], "did you mean --sweep_lora_rank"),
        (["--num_workers", "0", "--sweep_seeds", "1"], "--num_workers 0"),
    ],
)
def test_impossible_grids_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        grid_of(*words)


def test_folder_names_are_readable_and_follow_all_settings() -> None:
    trial = Trial("max_steps=60 seed=1", made_up.settings(max_steps=60, seed=1))
    assert re.fullmatch(r"max_steps=60_seed=1-[0-9a-f]{8}", trial.folder_name)
    same = Trial(trial.name, with_values(trial.config, {"output_dir": "elsewhere"}))
    assert same.folder_name == trial.folder_name
    for leaf, value in (("lora_dropout", 0.1), ("model_name", ("小红",)), ("scorecard", "full")):
        other = Trial(trial.name, with_values(trial.config, {leaf: value}))
        assert other.folder_name != trial.folder_name
    odd = Trial("../a b/扁仓 " + "x" * 300, trial.config).folder_name
    assert re.fullmatch(r"a_b_扁仓_x+-[0-9a-f]{8}", odd)
    assert len(odd.encode()) < 255


def test_values_are_checked_like_flags() -> None:
    config = made_up.settings()
    assert with_values(config, {}) == config
    with pytest.raises(ConfigError, match="max_steps 0"):
        with_values(config, {"max_steps": 0})


def test_another_base_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    claim_folder(tmp_path, parse("--sweep_max_steps", "60"))
    # The grid may grow, and what only says where and how fast may change.
    same = parse("--sweep_lora_rank", "4", "8", "--output_dir", "x", "--num_threads", "1")
    claim_folder(tmp_path, same)
    changed = parse("--sweep_max_steps", "60", "--lora_dropout", "0.1", "--aliases", "黄", "Huang")
    with pytest.raises(ConfigError) as caught:
        claim_folder(tmp_path, changed)
    message = str(caught.value)
    assert "lora_dropout was 0.0, now 0.1" in message
    assert "aliases was not given, now 黄 Huang" in message
    assert "another --sweep_dir" in message
    # Refused: what lies there is still that of the earlier call.
    assert load_config(tmp_path / "sweep.yaml", "sweep") == same
    (tmp_path / "sweep.yaml").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="damaged"):
        claim_folder(tmp_path, same)
