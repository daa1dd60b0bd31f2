"""Lists of values → points → trials; and whether a folder belongs to the same base settings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from selfcog.config.leaf import leaves_of
from selfcog.config.load import dump_yaml, make_config
from selfcog.config.schema import SftConfig, SweepConfig
from selfcog.config.schema_sweep import PREFIX, SweepSection
from selfcog.errors import ConfigError
from selfcog.runs import write_text_atomic
from selfcog.sweep.trial import Trial, learnt_settings

SETTINGS_FILE = "sweep.yaml"
NOT_SWEPT = ("sweep_seeds", "sweep_dir")
SWEPT = tuple(
    name.removeprefix(PREFIX)
    for name in SweepSection.model_fields
    if name.startswith(PREFIX) and name not in NOT_SWEPT
)
"""Settings of sft that can be swept."""


@dataclass(frozen=True, slots=True)
class GridPoint:
    """Values of the swept settings, and one trial a seed."""

    values: Mapping[str, float]
    trials: tuple[Trial, ...]

    @property
    def name(self) -> str:
        return name_of(self.values)


def name_of(values: Mapping[str, float]) -> str:
    """``identity_share=0.3 max_steps=60``; "as given" where nothing but the seed differs."""
    return " ".join(f"{leaf}={value:g}" for leaf, value in values.items()) or "as given"


def sft_part(config: SweepConfig) -> SftConfig:
    """The settings of ``selfcog sft`` in those of the sweep."""
    return SftConfig(**{name: getattr(config, name) for name in SftConfig.model_fields})


def with_values(config: SftConfig, values: Mapping[str, Any]) -> SftConfig:
    """The settings with other values of these leaves. Raises ConfigError as the command would."""
    sections = {name: leaf.section for name, leaf in leaves_of(SftConfig).items()}
    old = {name: getattr(getattr(config, section), name) for name, section in sections.items()}
    made = make_config("sft", {**old, **values})
    assert isinstance(made, SftConfig)
    return made


def make_grid(base: SftConfig, sweep: SweepSection) -> list[GridPoint]:
    """Every combination of the swept values, the last setting changing fastest.

    Raises ConfigError where nothing is swept, or a combination is not possible.
    """
    lists = {leaf: getattr(sweep, PREFIX + leaf) for leaf in SWEPT}
    swept = {leaf: values for leaf, values in lists.items() if values}
    if not swept and not sweep.sweep_seeds:
        raise ConfigError(
            "nothing is swept; give for example --sweep_identity_share 0.1 0.3 0.5, or "
            "--sweep_seeds 1 2 3"
        )
    seeds = sweep.sweep_seeds or (base.train.seed,)
    points = []
    for combination in itertools.product(*swept.values()):
        values = dict(zip(swept, combination, strict=True))
        trials = tuple(
            Trial(f"{name_of(values)} seed={seed}", with_values(base, {**values, "seed": seed}))
            for seed in seeds
        )
        points.append(GridPoint(values, trials))
    return points


def claim_folder(folder: Path, config: SweepConfig) -> None:
    """Write sweep.yaml, the settings of the last call.

    Raises ConfigError where the folder holds trials of other base settings: one table must not mix
    them. The grid itself may grow and change.
    """
    path = folder / SETTINGS_FILE
    if path.is_file():
        try:
            old = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            old = None
        if not isinstance(old, dict):
            raise ConfigError(f"{path} is damaged; give another --sweep_dir")
        changed = differences(old, learnt_settings(sft_part(config)))
        if changed:
            raise ConfigError(
                f"--sweep_dir {folder} holds a sweep with other settings ({'; '.join(changed)}); "
                "give another --sweep_dir, or the same settings"
            )
    write_text_atomic(path, dump_yaml(config))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Where two trees of settings differ: "lora_rank was 16, now 8". Only leaves of ``new``, and
    leaves that are new in it, are looked at."""
    found = []
    for section, leaves in new.items():
        before = old.get(section) or {}
        for leaf, value in leaves.items():
            if leaf not in before:
                found.append(f"{leaf} was not there, now {_show(value)}")
            elif before[leaf] != value:
                found.append(f"{leaf} was {_show(before[leaf])}, now {_show(value)}")
    return found


def _show(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "not given"
    return str(value).lower() if isinstance(value, bool) else str(value)
