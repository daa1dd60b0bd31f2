"""The schema itself: documented, frozen, with names that can be flags; the size of a step."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from selfcog.config.base import Config
from selfcog.config.help import groups_of
from selfcog.config.leaf import leaves_of
from selfcog.config.schema import (
    COMMANDS,
    AdapterSection,
    IdentitySection,
    ModelSection,
    SftConfig,
    TrainSection,
)

CONFIGS = pytest.mark.parametrize("config", COMMANDS.values(), ids=COMMANDS)


def leaf_names(config: type[Config]) -> list[str]:
    """All leaf names, repeats included (leaves_of would hide them)."""
    names: list[str] = []
    for name, field in config.model_fields.items():
        kind = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, Config)
        names += list(kind.model_fields) if inner else [name]
    return names


@CONFIGS
def test_leaf_names_are_unique(config: type[Config]) -> None:
    repeated = [name for name, count in Counter(leaf_names(config)).items() if count > 1]
    assert repeated == []
    assert list(leaves_of(config)) == leaf_names(config)


@CONFIGS
def test_every_leaf_is_described_and_in_one_group(config: type[Config]) -> None:
    for leaf in leaves_of(config).values():
        assert leaf.description.endswith((".", "…", "}'.")), leaf.name
    grouped = [leaf.name for group in groups_of(config) for leaf in group.leaves]
    assert sorted(grouped) == sorted(leaf_names(config))


def test_configs_are_frozen_and_refuse_unknown_keys() -> None:
    config = SftConfig(model=ModelSection(model="embedded"))
    with pytest.raises(ValidationError, match="frozen"):
        config.model.model = "other"
    with pytest.raises(ValidationError, match="extra"):
        SftConfig.model_validate({"model": {"model": "embedded"}, "trian": {}})


def test_text_is_never_made_of_numbers() -> None:
    with pytest.raises(ValidationError):
        IdentitySection.model_validate({"version": 1.0})


@pytest.mark.parametrize(
    ("settings", "world_size", "expected"),
    [
        ({}, 1, 16),
        ({}, 3, 16),
        ({"per_device_train_batch_size": 1}, 8, 16),
        ({"per_device_train_batch_size": 1}, 1, 16),
        ({"per_device_train_batch_size": 3}, 2, 18),
        ({"per_device_train_batch_size": 20}, 1, 20),
        ({"gradient_accumulation_steps": 4}, 2, 8),
        ({"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}, 2, 16),
        ({"global_batch_size": 12, "per_device_train_batch_size": 5}, 8, 12),
    ],
)
def test_examples_per_step(settings: dict[str, int], world_size: int, expected: int) -> None:
    assert TrainSection(**settings).examples_per_step(world_size) == expected


def test_the_tutorial_ends_at_step_282() -> None:
    """1,000 rows and 500 identity rows, 8 ranks of 1, 3 epochs."""
    step = TrainSection(per_device_train_batch_size=1).examples_per_step(8)
    assert -(-1500 // step) * 3 == 282


@pytest.mark.parametrize("name", ["q_proj,v_proj", "q_proj ", "\tq_proj", "0\r"])
def test_a_layer_whose_name_would_not_come_back_from_a_file_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is no layer's name"):
        AdapterSection(target_modules=(name,))
