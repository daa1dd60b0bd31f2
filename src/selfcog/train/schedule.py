"""Which examples a step takes, and its learning rate: pure functions of the settings.

Nothing here knows ranks, packing or devices, so that none of these can change what is trained.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

# LoRA's best peak rate goes down with the width. 2e-3 was measured on the embedded model
# (hidden 256); 1e-4 from hidden 5120 up is what ms-swift and most published recipes use.
LORA_RATE_TIMES_WIDTH = 0.512
LORA_RATE_RANGE = (1e-4, 2e-3)
# ms-swift's defaults: 1e-4 for adapters, 1e-5 for all weights.
FULL_RATE_SHARE = 0.1


def default_learning_rate(hidden_size: int, tuner_type: str) -> float:
    """The peak learning rate for a model of this width when the user gives none.

    LoRA: 0.512 / hidden_size, at least 1e-4, at most 2e-3; all weights: a tenth of it.
    """
    lowest, highest = LORA_RATE_RANGE
    rate = min(max(LORA_RATE_TIMES_WIDTH / hidden_size, lowest), highest)
    return rate * FULL_RATE_SHARE if tuner_type == "full" else rate


@dataclass(frozen=True, slots=True)
class RateSchedule:
    """Learning rate by step: a linear rise over ``num_warmup`` steps, then ``course``.

    No step is wasted at a rate of 0: the first has peak / (num_warmup + 1), the last is above 0.
    """

    peak: float
    num_steps: int
    num_warmup: int
    course: str = "cosine"

    def rate(self, step: int) -> float:
        """The rate of the update number ``step``, counted from 0."""
        if step < self.num_warmup:
            return self.peak * (step + 1) / (self.num_warmup + 1)
        done = (step - self.num_warmup) / max(self.num_steps - self.num_warmup, 1)
        if self.course == "cosine":
            return self.peak * 0.5 * (1.0 + math.cos(math.pi * done))
        if self.course == "linear":
            return self.peak * (1.0 - done)
        return self.peak


def count_warmup(num_steps: int, warmup_ratio: float, warmup_steps: int | None) -> int:
    """Warm-up in steps; a number of steps wins over a share."""
    return warmup_steps if warmup_steps is not None else math.ceil(num_steps * warmup_ratio)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Which examples every step takes. The order is a function of (seed, epoch) alone.

    A step is ``examples_per_step`` examples over all ranks; the last step of an epoch takes what
    is left. 1,500 examples, 16 a step, 3 epochs: 94 steps an epoch, 282 in all.
    """

    num_examples: int
    examples_per_step: int
    num_steps: int
    seed: int

    @classmethod
    def make(
        cls,
        num_examples: int,
        examples_per_step: int,
        num_epochs: float,
        max_steps: int = -1,
        seed: int = 42,
    ) -> StepPlan:
        """``max_steps`` above 0 replaces the number that the epochs would give."""
        per_epoch = -(-num_examples // examples_per_step)
        # 1e-9: 1.1 epochs of 10 steps are 11 steps although 1.1 * 10 is a little above 11.
        num_steps = max_steps if max_steps > 0 else math.ceil(num_epochs * per_epoch - 1e-9)
        return cls(num_examples, examples_per_step, max(num_steps, 1), seed)

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.num_examples // self.examples_per_step)

    @property
    def num_epochs(self) -> float:
        return self.num_steps / self.steps_per_epoch

    def examples(self, step: int) -> list[int]:
        """Indices of the examples of step number ``step``, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = _shuffled(self.num_examples, self.seed, epoch)
        start = position * self.examples_per_step
        return list(order[start : start + self.examples_per_step])

    def epochs_after(self, num_done: int) -> float:
        """Epochs seen when ``num_done`` steps are done."""
        return num_done / self.steps_per_epoch


@lru_cache(maxsize=2)
def _shuffled(num_examples: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(num_examples))
    # A text seed goes through SHA-512: neighbouring seeds and epochs have unrelated orders.
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return tuple(order)
