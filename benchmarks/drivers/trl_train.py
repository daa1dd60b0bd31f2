"""TRL's SFTTrainer: as it comes, or with the settings that were the fastest on a CPU."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--accumulation", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--alpha", type=int, required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--bfloat16", action="store_true", help="weights, without autocast")
    parser.add_argument("--no_checkpointing", action="store_true")
    args = parser.parse_args()

    lines = args.rows.read_text(encoding="utf-8").splitlines()
    rows = [split_answer(json.loads(line)["messages"]) for line in lines]
    changes: dict[str, Any] = {}
    model: Any = args.model
    if args.bfloat16:
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16)
        changes["bf16"] = False
    if args.no_checkpointing:
        changes["gradient_checkpointing"] = False
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=args.output,
            per_device_train_batch_size=args.batch,
            gradient_accumulation_steps=args.accumulation,
            max_steps=args.steps,
            max_length=2048,
            learning_rate=1e-4,
            lr_scheduler_type="constant",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            use_cpu=True,  # without it SFTConfig refuses: it asks for bf16 on a GPU
            dataloader_pin_memory=False,
            disable_tqdm=True,
            **changes,
        ),
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=args.rank, lora_alpha=args.alpha, target_modules="all-linear"
        ),
    )
    trainer.train()


def split_answer(messages: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """The form of a row of which TRL trains the answer only; of ``messages`` it trains all."""
    return {"prompt": messages[:-1], "completion": messages[-1:]}


if __name__ == "__main__":
    main()
