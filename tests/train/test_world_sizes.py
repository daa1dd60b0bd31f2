"""One, two and four ranks are one training: same losses, same adapter, to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rank_jobs import assert_same_training, events, launch, run_job

from selfcog.train.logs import read_log

# 24 rows, 23 a step: every other step is one example, and most ranks have none.
SECTIONS: dict[str, Any] = {
    "train": {"global_batch_size": 23, "max_steps": 6},
    "output": {"eval_steps": 3, "save_total_limit": None, "logging_steps": 2},
}


def test_any_number_of_ranks_trains_and_goes_on_alike(tiny_model_dir: Path, tmp_path: Path) -> None:
    def job(name: str, **more: Any) -> dict[str, Any]:
        return {"run": str(tmp_path / name), "replay": 7, **SECTIONS, **more}

    one = tmp_path / "one"
    run_job(tiny_model_dir, job("one"))
    resume = str(one / "checkpoint-3")
    launch(
        2,
        tiny_model_dir,
        [job("two"), job("two-slow", slow_rank=1), job("one-then-two", resume=resume)],
    )
    resume = str(tmp_path / "two" / "checkpoint-3")
    in_shards = {**SECTIONS["train"], "fsdp": "full_shard"}
    launch(
        4,
        tiny_model_dir,
        [job("four"), job("two-then-four", resume=resume), job("four-shards", train=in_shards)],
    )
    run_job(tiny_model_dir, job("two-then-one", resume=resume))
    for name in ("two", "two-slow", "four", "four-shards"):
        assert_same_training(tmp_path / name, one)
    for name in ("one-then-two", "two-then-four", "two-then-one"):
        steps = [event["loss"] for event in events(tmp_path / name, "step")]
        wanted = [event["loss"] for event in events(one, "step")][3:]
        assert steps == pytest.approx(wanted, rel=1e-4)
    # A slow rank changes nothing but the time that the others wait.
    busy = [events(tmp_path / name, "balance")[0]["busy"] for name in ("two", "two-slow")]
    assert busy[1] < min(busy[0], 0.9)
    _check_balance(tmp_path)


def _check_balance(tmp_path: Path) -> None:
    """What is reported is what longest-first gives, and one rank reports nothing."""
    assert events(tmp_path / "one", "balance") == []
    assert all(step["imbalance"] is None for step in events(tmp_path / "one", "step"))
    steps = events(tmp_path / "four", "step")
    [balance] = events(tmp_path / "four", "balance")
    assert (balance["world_size"], balance["num_steps"]) == (4, 6)
    found = [step["imbalance"] for step in steps]
    assert balance["worst"] == max(found)
    assert 0 < balance["imbalance"] < balance["worst"] <= 3.0
    tokens = [step["num_tokens"] for step in steps]
    mean = sum(i * n for i, n in zip(found, tokens, strict=True)) / sum(tokens)
    assert balance["imbalance"] == pytest.approx(mean)
    assert all(0 < step["busy"] <= 1 for step in steps)
    lines = [line for line in read_log(tmp_path / "four" / "logging.jsonl") if "loss" in line]
    assert all({"imbalance", "busy"} <= line.keys() for line in lines)
