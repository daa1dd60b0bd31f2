"""Plain transformers Trainer + peft, as its documentation shows it: the peer without extras."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)


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
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    lines = args.rows.read_text(encoding="utf-8").splitlines()
    rows = [encode(tokenizer, json.loads(line)["messages"]) for line in lines]
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(args.model),
        LoraConfig(
            task_type="CAUSAL_LM", r=args.rank, lora_alpha=args.alpha, target_modules="all-linear"
        ),
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=args.output,
            per_device_train_batch_size=args.batch,
            gradient_accumulation_steps=args.accumulation,
            max_steps=args.steps,
            learning_rate=1e-4,
            lr_scheduler_type="constant",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            disable_tqdm=True,
        ),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    trainer.train()


def encode(tokenizer: Any, messages: list[dict[str, str]]) -> dict[str, list[int]]:
    """Ids, and labels that train the answer only."""

    def ids_of(part: list[dict[str, str]], prompt: bool) -> list[int]:
        text = tokenizer.apply_chat_template(part, tokenize=False, add_generation_prompt=prompt)
        ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
        return ids

    prompt, ids = ids_of(messages[:-1], True), ids_of(messages, False)
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "labels": [-100] * len(prompt) + ids[len(prompt) :],
    }


if __name__ == "__main__":
    main()
