"""Replay rows over two ranks, and in a training that goes on: the same losses and gradient."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import first_step, make_config, make_replay, make_rows, run_training

from selfcog.errors import ConfigError, TrainError
from selfcog.events import StepEvent
from selfcog.runs import RunDir
from selfcog.train.launch import find_port

SCRIPT = Path(__file__).with_name("tiny_training.py")
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")},
    "OMP_NUM_THREADS": "1",
}
REPLAY = make_replay()
DEV = make_rows(5, seed=9)


def losses_of(events: list[Any]) -> list[tuple[float, float | None, float]]:
    steps = [event for event in events if isinstance(event, StepEvent)]
    return [(event.loss, event.replay_loss, event.grad_norm) for event in steps]


# A step has one replay row: the second rank records some, and never computes one.
RANKS: dict[str, dict[str, Any]] = {
    "train": {"global_batch_size": 12, "num_train_epochs": 3.0, "learning_rate": 1e-2},
    "output": {"eval_steps": 3, "save_total_limit": None, "save_only_model": False},
    "teacher": {"replay_ratio": 0.1, "kl_weight": 5.0, "kl_top_k": 64},
}


@pytest.fixture(scope="module")
def two_ranks(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two processes that saved a gradient and then trained."""
    folder = tmp_path_factory.mktemp("two")
    settings = {**RANKS, "replay": 3, "gradient": str(folder / "gradient.pt"), "goes_on": True}
    line = [
        sys.executable, "-m", "selfcog.train.torchrun", "--nproc_per_node=2",
        "--master_addr=127.0.0.1", f"--master_port={find_port()}",
        str(SCRIPT), str(tiny_model_dir), str(folder), json.dumps(settings),
    ]  # fmt: skip
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def test_two_ranks_give_the_replay_gradient_of_one(
    tiny_model_dir: Path, tmp_path: Path, two_ranks: Path
) -> None:
    config = make_config(**RANKS)
    wanted = first_step(tiny_model_dir, tmp_path, config, make_rows(), make_replay(3))
    bare = first_step(tiny_model_dir, tmp_path, config, make_rows(), make_replay(3), texts=False)
    assert bare.gradient.norm() > 0.1 * wanted.gradient.norm()
    error = (torch.load(two_ranks / "gradient.pt") - wanted.gradient).norm()
    assert error < 1e-5 * wanted.gradient.norm()


def test_two_ranks_replay_like_one_and_one_goes_on(
    tiny_model_dir: Path, tmp_path: Path, two_ranks: Path
) -> None:
    lines = (two_ranks / "events.jsonl").read_text().splitlines()
    two = [event for event in map(json.loads, lines) if event["event"] == "step"]
    [recorded] = [event for event in map(json.loads, lines) if event["event"] == "teacher"]
    assert recorded["num_rows"] == 3
    config = make_config(**RANKS)

    def train(folder: Path, **options: Any) -> tuple[list[float], list[float]]:
        events: list[Any] = []
        rows = {"dev_rows": DEV, "replay_rows": make_replay(3)}
        run_training(tiny_model_dir, folder, config, events=events, **rows, **options)
        losses, replayed, _ = zip(*losses_of(events), strict=True)
        return list(losses), list(replayed)

    losses, replayed = train(tmp_path)
    assert len(losses) == len(two) == 6
    assert [event["loss"] for event in two] == pytest.approx(losses, rel=1e-5)
    # From what float32 leaves of a difference between equals, to a real divergence.
    assert abs(replayed[0]) < 1e-6 < 1e-4 < replayed[-1]
    assert [event["replay_loss"] for event in two] == pytest.approx(replayed, rel=1e-4, abs=1e-7)
    again, again_replayed = train(two_ranks, resume_from=two_ranks / "checkpoint-3")
    assert again == pytest.approx(losses[3:], rel=1e-5)
    assert again_replayed == pytest.approx(replayed[3:], rel=1e-4, abs=1e-7)


# 24 rows, 10 a step, and 5 of 7 replay rows: checkpoint-4 is inside an epoch of both.
SECTIONS: dict[str, dict[str, Any]] = {
    "train": {
        "global_batch_size": 10,
        "num_train_epochs": 3.0,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.3,
    },
    "output": {"eval_steps": 2, "save_total_limit": None, "save_only_model": False},
}


@pytest.mark.parametrize("tuner", ["lora", "full"])
@pytest.mark.parametrize("loss", ["kl", "ce"])
def test_resumed_replay_losses_are_the_unbroken_ones(
    tiny_model_dir: Path, tmp_path: Path, tuner: str, loss: str
) -> None:
    config = make_config(
        **SECTIONS,
        adapter={"tuner_type": tuner, "lora_dropout": 0.2},
        teacher={"replay_loss": loss, "kl_weight": 3.0},
    )
    events: list[Any] = []
    run_training(
        tiny_model_dir, tmp_path / "run", config, events=events, dev_rows=DEV, replay_rows=REPLAY
    )
    wanted = losses_of(events)
    assert len(wanted) == 9 and all(replayed is not None for _, replayed, _ in wanted)
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "run", again)
    for step, folder in RunDir(again).checkpoints():
        if step > 4:
            shutil.rmtree(folder)
    events.clear()
    run_training(
        tiny_model_dir,
        again,
        config,
        events=events,
        dev_rows=DEV,
        resume_from=again,
        replay_rows=REPLAY,
    )
    assert losses_of(events) == wanted[4:]
    for name in ("state/weights.safetensors", "state/optimizer.safetensors"):
        mine = (again / "checkpoint-9" / name).read_bytes()
        assert mine == (tmp_path / "run" / "checkpoint-9" / name).read_bytes(), name


def test_other_replay_rows_or_weights_are_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    sections = {**SECTIONS, "train": {**SECTIONS["train"], "max_steps": 2}}
    run_training(tiny_model_dir, tmp_path, make_config(**sections), replay_rows=REPLAY)
    for other in (REPLAY[:-1], REPLAY[::-1], []):
        with pytest.raises(TrainError, match="the training rows are not those"):
            run_training(
                tiny_model_dir,
                tmp_path,
                make_config(**sections),
                resume_from=tmp_path,
                replay_rows=other,
            )
    config = make_config(**sections, teacher={"kl_weight": 2.0})
    with pytest.raises(ConfigError, match=r"kl_weight was \d\.\d, is 2\.0"):
        run_training(tiny_model_dir, tmp_path, config, resume_from=tmp_path, replay_rows=REPLAY)
