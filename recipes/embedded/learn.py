"""Tunes the embedded model to a new name with ``selfcog sft``: the yardstick "learnable"."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.embedded.names import Pair

# The project's defaults but for these: 1,000 rows from the bank, 63 steps an epoch.
ROWS, STEPS, SEED = 1000, 190, 3


@dataclass(frozen=True)
class Learnt:
    """The tuned model with its tokenizer, the steps, and the seconds from call to checkpoint."""

    model: Any
    tokenizer: Any
    steps: int
    seconds: float


def learn_pair(folder: Path, pair: Pair, out: Path) -> Learnt:
    """Trains the pair's names into an adapter as a user would, and loads the result with peft."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfcog import Identity, sft

    begin = time.monotonic()
    result = sft(
        model=str(folder),
        identity=Identity(
            name=(pair.name_zh, pair.name_en), author=(pair.author_zh, pair.author_en)
        ),
        self_cognition_sample=ROWS,
        max_steps=STEPS,
        seed=SEED,
        eval_steps=STEPS,
        scorecard="none",
        output_dir=str(out),
        progress=False,
    )
    seconds = time.monotonic() - begin
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    model = PeftModel.from_pretrained(model, result.last_checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Learnt(model.eval(), tokenizer, result.num_steps, seconds)
