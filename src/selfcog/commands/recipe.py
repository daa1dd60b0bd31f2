"""What the settings of ``sft`` come to: its steps, and what is unlikely to work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfcog.config.schema import SftConfig
from selfcog.model.quant import NOTICE

if TYPE_CHECKING:
    from selfcog.train.dist import World

# Field reports of identity tuning: below about 40 optimiser steps nothing was learnt, and the runs
# that worked had 100 to 500.
FEW_STEPS = 60
# A fifth of the width's learning rate learns the identity in no number of steps tried.
LOW_RATE = 0.2


def count_steps(config: SftConfig, num_rows: int, world: World) -> tuple[int, int]:
    """(optimiser steps, examples of a step) of a training on so many rows."""
    from selfcog.train.schedule import StepPlan

    per_step = config.train.examples_per_step(world.size)
    settings = config.train
    plan = StepPlan.make(num_rows, per_step, settings.num_train_epochs, settings.max_steps)
    return plan.num_steps, per_step


def warn_of_recipe(config: SftConfig, model: Any, num_rows: int, world: World) -> list[str]:
    """What the settings make unlikely to work, said before the time is spent."""
    from selfcog.train.schedule import default_learning_rate

    warnings = [] if config.model.quant_bits is None else [NOTICE]
    steps, _ = count_steps(config, num_rows, world)
    if steps < FEW_STEPS:
        warnings.append(
            f"only {steps} optimiser steps; an identity usually needs 100 to 400 "
            "(more --num_train_epochs or a smaller --global_batch_size)"
        )
    usual = default_learning_rate(model.config.hidden_size, config.adapter.tuner_type)
    rate = config.train.learning_rate
    if rate is not None and rate < LOW_RATE * usual:
        warnings.append(
            f"--learning_rate {rate:g} is far below {usual:.1e}, which suits a model of this "
            "width; the identity may not be learnt"
        )
    return warnings
