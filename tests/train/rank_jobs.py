"""Several small trainings, one after the other, in one set of ranks: starting ranks is what costs.

    torchrun … rank_jobs.py MODEL_DIR '[{"run": PATH, "train": {…}, "slow_rank": 1}, …]'

A job is ``run`` (its folder), the sections of a config, ``resume`` (a checkpoint to go on from),
``replay`` (a number of replay rows), ``asks`` (rank 0 uses the model alone at every evaluation),
and ``slow_rank``: that rank sleeps in every step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from tiny_training import make_config, make_replay, make_rows, run_training

from selfcog.train import optim
from selfcog.train.launch import find_port

SLEEP_S = 0.05
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")},
    "OMP_NUM_THREADS": "1",
}


def launch(ranks: int, model_dir: Path, jobs: Sequence[dict[str, Any]]) -> None:
    """Run ``jobs`` on so many gloo ranks; fails the test when one of them fails."""
    launcher = ["-m", "selfcog.train.torchrun", f"--nproc_per_node={ranks}"]
    address = ["--master_addr=127.0.0.1", f"--master_port={find_port()}"]
    line = [sys.executable, *launcher, *address, __file__, str(model_dir), json.dumps(list(jobs))]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def ask(model: Any, step: int) -> dict[str, float]:
    """What commands do with a model between two steps: generate, look at logits, load weights."""
    ids = torch.tensor([[5, 6, 7]])
    answer = model.generate(input_ids=ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
    if isinstance(model, PeftModel):
        set_peft_model_state_dict(model, get_peft_model_state_dict(model))
    with torch.inference_mode():
        logits = model(input_ids=answer).logits
    return {"asked": float(logits.std())}


def run_job(model_dir: Path, job: dict[str, Any]) -> Path:
    """One job in this process; the folder of its last checkpoint."""
    sections = {key: value for key, value in job.items() if isinstance(value, dict)}
    resume = job.get("resume")
    result = run_training(
        model_dir,
        Path(job["run"]),
        make_config(**sections),
        dev_rows=make_rows(5, seed=9),
        resume_from=Path(resume) if resume else None,
        replay_rows=make_replay(job.get("replay", 0)),
        evaluators=[ask] if job.get("asks") else [],
    )
    return result.last_checkpoint


def events(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run_dir / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def numbers(run_dir: Path) -> list[float]:
    """Losses and gradient norms of the steps, then the metrics of all evaluations."""
    steps = events(run_dir, "step")
    return [
        *(step["loss"] for step in steps),
        *(step["grad_norm"] for step in steps),
        *(value for event in events(run_dir, "eval") for value in event["metrics"].values()),
    ]


def trained(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The weights that infer, peft and transformers read."""
    for name in ("adapter_model.safetensors", "model.safetensors"):
        if (checkpoint / name).is_file():
            return load_file(checkpoint / name)
    raise AssertionError(f"no weights in {checkpoint}")


def assert_same_training(found: Path, wanted: Path, *, rel: float = 1e-4) -> None:
    """Two runs that differ by rounding only: their numbers, and their last weights."""
    assert numbers(found) == pytest.approx(numbers(wanted), rel=rel)
    step = max(int(path.name.split("-")[1]) for path in wanted.glob("checkpoint-*"))
    ours, theirs = (trained(run / f"checkpoint-{step}") for run in (found, wanted))
    assert ours.keys() == theirs.keys()
    # Adam turns the rounding of a gradient near 0 into a step of its own: single weights differ.
    off = sum(float((ours[name] - theirs[name]).norm() ** 2) for name in ours) ** 0.5
    whole = sum(float(tensor.norm() ** 2) for tensor in theirs.values()) ** 0.5
    assert off / whole < 1e-3, off / whole


def main() -> None:
    original = optim.set_rate
    for job in json.loads(sys.argv[2]):
        is_slow = str(job.get("slow_rank")) == os.environ.get("RANK")

        def set_rate(optimizer: torch.optim.Optimizer, rate: float, slow: bool = is_slow) -> None:
            time.sleep(SLEEP_S if slow else 0.0)
            original(optimizer, rate)

        optim.set_rate = set_rate
        run_job(Path(sys.argv[1]), job)


if __name__ == "__main__":
    main()
