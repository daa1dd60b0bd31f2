"""The section that ``selfcog sweep`` has beside those of ``selfcog sft``.

A swept setting is "sweep_" + the name of a setting of sft; its values take that setting's place.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from selfcog.config.base import Config, Count, Seed

Share = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]

PREFIX = "sweep_"


class SweepSection(Config):
    """The grid, where it is trained, and where the results lie."""

    sweep_identity_share: tuple[Share, ...] = ()
    """Values of --identity_share: the share of the loss that identity rows get."""

    sweep_self_cognition_sample: tuple[Count, ...] = ()
    """Values of --self_cognition_sample: the number of identity rows."""

    sweep_max_steps: tuple[Count, ...] = ()
    """Values of --max_steps."""

    sweep_learning_rate: tuple[Rate, ...] = ()
    """Values of --learning_rate."""

    sweep_kl_weight: tuple[Weight, ...] = ()
    """Values of --kl_weight: how firmly the base's own answers are held."""

    sweep_lora_rank: tuple[Count, ...] = ()
    """Values of --lora_rank."""

    sweep_seeds: tuple[Seed, ...] = ()
    """Values of --seed: every point is trained with each; not given: --seed alone."""

    num_workers: Count | None = None
    """Trainings at once; not given: one a GPU, without GPUs one for two cores."""

    ray_address: str | None = Field(default=None, min_length=1)
    """Train on this Ray cluster (auto, or HOST:PORT) instead of in processes of this machine."""

    sweep_dir: str = Field(default="sweep", min_length=1)
    """Folder of all trials and of the results; the same command again goes on where it stopped."""

    @model_validator(mode="after")
    def _check_repeats(self) -> SweepSection:
        for name, value in self:
            if not isinstance(value, tuple):
                continue
            repeated = [item for place, item in enumerate(value) if item in value[:place]]
            if repeated:
                raise ValueError(f"--{name} names {repeated[0]:g} twice; give every value once")
        return self
