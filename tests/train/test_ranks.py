"""Real processes: two gloo ranks under torchrun, signals, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import first_gradient, make_config, make_rows, run_training

from selfcog.runs import RunDir
from selfcog.train.launch import find_port

SCRIPT = Path(__file__).with_name("tiny_training.py")
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")},
    "OMP_NUM_THREADS": "1",
}
TWO_RANKS = ["-m", "selfcog.train.torchrun", "--nproc_per_node=2", "--master_addr=127.0.0.1"]


def command(ranks: int, model_dir: Path, run_dir: Path, **settings: Any) -> list[str]:
    launcher = [*TWO_RANKS, f"--master_port={find_port()}"] if ranks == 2 else []
    arguments = [str(SCRIPT), str(model_dir), str(run_dir), json.dumps(settings)]
    return [sys.executable, *launcher, *arguments]


def events_of(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    path = run_dir / "events.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def wait_for_step(child: subprocess.Popen[str], run_dir: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while len(events_of(run_dir, "step")) < step:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline, "no step was made"
        time.sleep(0.05)


def finish(child: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = child.communicate(timeout=120)
    return child.returncode, errors


def start(line: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_ranks_give_the_gradient_of_one(tiny_model_dir: Path, tmp_path: Path) -> None:
    config = make_config(train={"global_batch_size": 16})
    wanted, _ = first_gradient(tiny_model_dir, tmp_path / "one", config, make_rows())
    saved = tmp_path / "gradient.pt"
    done = subprocess.run(
        command(
            2,
            tiny_model_dir,
            tmp_path / "two",
            train={"global_batch_size": 16},
            gradient=str(saved),
        ),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    error = (torch.load(saved) - wanted).norm() / wanted.norm()
    assert error < 1e-5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint_that_goes_on(
    tiny_model_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    settings: dict[str, Any] = {"train": {"max_steps": 40}, "adapter": {"lora_dropout": 0.2}}
    run_dir = tmp_path / "run"
    child = start(command(1, tiny_model_dir, run_dir, **settings, slow=0.05))
    wait_for_step(child, run_dir, 3)
    child.send_signal(number)
    code, errors = finish(child)
    assert code == 128 + number
    assert f"stopped by {number.name} after step" in errors and "Traceback" not in errors
    [(step, checkpoint)] = RunDir(run_dir).checkpoints()
    assert len(events_of(run_dir, "step")) == step < 40
    assert events_of(run_dir, "checkpoint")[0]["reason"] == "signal"
    [end] = events_of(run_dir, "end")
    assert (end["status"], end["last_checkpoint"]) == ("interrupted", str(checkpoint))
    assert json.loads((run_dir / "run.json").read_text())["status"] == "interrupted"
    if number == signal.SIGINT:
        return
    config = make_config(**settings)
    run_training(tiny_model_dir, run_dir, config, resume_from=run_dir)
    run_training(tiny_model_dir, tmp_path / "unbroken", config)
    found = [event["loss"] for event in events_of(run_dir, "step")]
    assert found == [event["loss"] for event in events_of(tmp_path / "unbroken", "step")]


def test_a_second_interrupt_ends_it_at_once(tiny_model_dir: Path, tmp_path: Path) -> None:
    child = start(command(1, tiny_model_dir, tmp_path, train={"max_steps": 40}, slow=30.0))
    wait_for_step(child, tmp_path, 1)
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.poll() is None  # the first one waits for the step
    child.send_signal(signal.SIGINT)
    started = time.monotonic()
    code, _ = finish(child)
    assert code != 0 and time.monotonic() - started < 15
    assert RunDir(tmp_path).checkpoints() == []


def test_ranks_stop_together_on_the_launchers_signal(tiny_model_dir: Path, tmp_path: Path) -> None:
    """SIGTERM to the launcher, as a scheduler sends it: a checkpoint, exit code 143."""
    line = command(2, tiny_model_dir, tmp_path, train={"max_steps": 200}, slow=0.05)
    program = (
        "import sys; from selfcog.train.launch import run_child, child_environment; import os;"
        "assert 'torch' not in sys.modules;"
        "sys.exit(run_child(sys.argv[1:], child_environment(os.environ)))"
    )
    child = start([sys.executable, "-c", program, *line])
    wait_for_step(child, tmp_path, 2)
    child.send_signal(signal.SIGTERM)
    code, errors = finish(child)
    assert code == 143, errors
    [(step, _)] = RunDir(tmp_path).checkpoints()
    assert step < 200 and events_of(tmp_path, "end")[0]["status"] == "interrupted"
    assert "Traceback" not in errors


def test_a_rank_that_dies_is_a_failed_launch(tiny_model_dir: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    done = subprocess.run(
        command(2, tiny_model_dir, tmp_path, train={"max_steps": 5}, fails=1),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3
    assert "selfcog: error: rank 1 ended with exit code 3" in done.stderr
    assert "Traceback" not in done.stderr
    assert events_of(tmp_path, "end")[0]["status"] == "failed"
    assert time.monotonic() - started < 60
