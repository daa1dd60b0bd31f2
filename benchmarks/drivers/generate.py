"""Answers of base + unmerged adapter to a file of prompts, by transformers or by selfcog.

Measures the CPU seconds of the generation alone: the model is loaded, and one prompt answered with
two tokens, before the clock starts. The ids of the answers are written for comparison.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=("transformers", "selfcog"), required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--new", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    args = parser.parse_args()
    task = json.loads(args.prompts.read_text(encoding="utf-8"))
    base = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
    model = PeftModel.from_pretrained(base, args.adapter).eval()
    answer = plain if args.way == "transformers" else ours
    answer(model, task, task["prompts"][:1], 2, 1)
    cpu, wall = time.process_time(), time.time()
    answers = answer(model, task, task["prompts"], args.new, args.batch)
    cpu_s, wall_s = time.process_time() - cpu, time.time() - wall
    values = {
        "tokens_per_cpu_s": sum(map(len, answers)) / cpu_s,
        "tokens": sum(map(len, answers)),
        "generation_cpu_s": cpu_s,
        "generation_wall_s": wall_s,
        "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    args.result.write_text(json.dumps({"values": values, "answers": answers}), encoding="utf-8")


def plain(
    model: Any, task: dict[str, Any], prompts: list[list[int]], new: int, batch: int
) -> list[list[int]]:
    """Batches in the order of the file, padded on the left to the longest prompt of each."""
    answers = []
    for first in range(0, len(prompts), batch):
        part = prompts[first : first + batch]
        width = max(map(len, part))
        ids_BT = torch.tensor([[task["pad"]] * (width - len(one)) + one for one in part])
        mask_BT = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in part])
        found_BT = model.generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            max_new_tokens=new,
            do_sample=False,
            eos_token_id=task["stop"],
            pad_token_id=task["pad"],
        )
        for row in found_BT[:, width:].tolist():
            ends = [place for place, token in enumerate(row) if token in task["stop"]]
            answers.append(row[: ends[0] + 1] if ends else row)
    return answers


def ours(
    model: Any, task: dict[str, Any], prompts: list[list[int]], new: int, batch: int
) -> list[list[int]]:
    from selfcog.model.generate import generate_ids
    from selfcog.model.sampling import Sampling

    prompter: Any = Prompter(Tokenizer(task["pad"]), tuple(task["stop"]))
    return generate_ids(model, prompter, prompts, Sampling(new), batch)


@dataclass
class Tokenizer:
    pad_token_id: int


@dataclass
class Prompter:
    """What generation needs where the prompts are ids already."""

    tokenizer: Tokenizer
    stop_ids: tuple[int, ...]


if __name__ == "__main__":
    main()
