"""How much faster several CPU ranks are than one, and what they exchange: docs/scaling.md.

    python -m benchmarks.ranks [--ranks 1 2 4] [--fsdp] [--steps 6]

The same steps of the same random model on gloo ranks, one thread each. Prints a table, and last one
JSON line. CPU seconds say what the work costs; wall seconds what a machine with fewer cores than
ranks, or with other work, makes of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from selfcog.train.launch import available_cores, find_port

VOCABULARY = 4096
SKIPPED_STEPS = 1  # memory is made in the first step


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--fsdp", action="store_true", help="also with --fsdp full_shard")
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args(words)
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model")
        for fsdp in (False, True) if options.fsdp else (False,):
            for ranks in options.ranks:
                if ranks > 1 or not fsdp:
                    results.append(run(folder, ranks, fsdp, options.steps))
                    show(results)
    whole = {"cores": available_cores(), "torch": torch.__version__, "results": results}
    print(json.dumps(whole))


def make_model(folder: Path) -> None:
    """31 M weights in float32, 27 M of them in 8 layers; hidden 512."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0}, unk_token="<pad>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>").save_pretrained(folder)


def make_rows(count: int) -> list[Any]:
    """Lengths spread as in mixed chat data: half of them below 120 tokens, some above 500."""
    from selfcog.train.estimate import chat_lengths
    from selfcog.types import TokenizedExample

    draw = random.Random(0)
    rows = []
    for length in chat_lengths(count):
        ids = [draw.randrange(1, VOCABULARY) for _ in range(length)]
        rows.append(TokenizedExample(ids, [-100] * (length // 3) + ids[length // 3 :]))
    return rows


def run(folder: Path, ranks: int, fsdp: bool, steps: int) -> dict[str, Any]:
    """One training in processes of its own."""
    target = folder / f"{ranks}-{fsdp}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    job = json.dumps({"folder": str(folder), "target": str(target), "fsdp": fsdp, "steps": steps})
    launcher = []
    if ranks > 1:
        address = ["--master_addr=127.0.0.1", f"--master_port={find_port()}"]
        launcher = ["-m", "selfcog.train.torchrun", f"--nproc_per_node={ranks}", *address]
    line = [sys.executable, *launcher, "-m", "benchmarks.ranks", job]
    load = os.getloadavg()[0]
    subprocess.run(line, env=environment, check=True, stdout=subprocess.DEVNULL)
    events = [json.loads(text) for text in (target / "events.jsonl").read_text().splitlines()]
    done = [event for event in events if event["event"] == "step"][SKIPPED_STEPS:]
    balance = [event for event in events if event["event"] == "balance"]
    tokens = sum(event["num_tokens"] for event in done)
    cpu = sum(float(path.read_text()) for path in target.glob("cpu-*"))
    return {
        "ranks": ranks,
        "fsdp": fsdp,
        "load_before": load,
        "loss": done[-1]["loss"],
        "tokens": tokens,
        "wall_s": sum(event["step_time_s"] for event in done),
        "cpu_s": cpu,
        "imbalance": balance[0]["imbalance"] if balance else 0.0,
        "busy": balance[0]["busy"] if balance else 1.0,
    }


def work(job: dict[str, Any]) -> None:
    """What one rank does; its CPU seconds from the second step on go into a file."""
    from selfcog.config.schema import SftConfig
    from selfcog.events import EventLog
    from selfcog.model.adapter import add_adapter
    from selfcog.model.load import load_model, load_tokenizer
    from selfcog.runs import CheckpointInfo, RunDir
    from selfcog.train import optim
    from selfcog.train.loop import train

    folder, target = Path(job["folder"]) / "model", Path(job["target"])
    config = SftConfig.model_validate(
        {
            "model": {"model": str(folder), "torch_dtype": "float32"},
            "train": {
                "global_batch_size": 16,
                "max_steps": job["steps"],
                "fsdp": "full_shard" if job["fsdp"] else None,
            },
            "output": {"eval_steps": 10**6},
        }
    )
    target.mkdir(exist_ok=True)
    torch.manual_seed(0)  # the adapter is the same, so that the losses can be compared
    marks: list[float] = []
    original = optim.set_rate

    def note_time(optimizer: torch.optim.Optimizer, rate: float) -> None:
        original(optimizer, rate)
        marks.append(time.process_time())

    optim.set_rate = note_time
    train(
        model=add_adapter(load_model(folder, torch_dtype="float32"), config.adapter),
        tokenizer=load_tokenizer(folder),
        train_rows=make_rows(16 * job["steps"]),
        dev_rows=[],
        config=config,
        run=RunDir(target),
        info=CheckpointInfo(str(folder), "lora"),
        log=EventLog(RunDir(target).events_path),
    )
    seconds = marks[-1] - marks[SKIPPED_STEPS - 1]
    (target / f"cpu-{os.environ.get('RANK', '0')}").write_text(str(seconds))


def show(results: list[dict[str, Any]]) -> None:
    first, last = results[0], results[-1]
    if len(results) == 1:
        print(
            "| ranks | weights | tokens/s | speed-up | tokens per CPU s | of one rank's |", end=""
        )
        print(" imbalance | busy | loss |\n" + "|---" * 9 + "|")
    wall, cpu = (last["tokens"] / last[key] for key in ("wall_s", "cpu_s"))
    speedup, share = (
        wall / (first["tokens"] / first["wall_s"]),
        cpu / (first["tokens"] / first["cpu_s"]),
    )
    weights = "shards" if last["fsdp"] else "whole"
    print(
        f"| {last['ranks']} | {weights} | {wall:,.0f} | {speedup:.2f} | {cpu:,.0f} | {share:.0%} "
        f"| {last['imbalance']:.1%} | {last['busy']:.0%} | {last['loss']:.5f} |",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].startswith("{"):
        work(json.loads(sys.argv[1]))
    else:
        main()
