"""logging.jsonl, curves and TensorBoard, from the events of a training."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import pytest
from tiny_training import make_config, make_rows, run_training

from selfcog.errors import MissingExtraError
from selfcog.events import StepEvent, WarningEvent
from selfcog.train.logs import smoothed, summarise


@pytest.fixture(scope="module")
def run_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logged")
    config = make_config(
        train={"max_steps": 7},
        output={"logging_steps": 3, "eval_steps": 5, "report_to": ("tensorboard",)},
    )
    run_training(tiny_model_dir, folder, config, dev_rows=make_rows(4, seed=9))
    return folder


def test_lines_are_those_that_ms_swifts_users_know(run_dir: Path) -> None:
    lines = [json.loads(line) for line in (run_dir / "logging.jsonl").read_text().splitlines()]
    trained = [line for line in lines if "loss" in line]
    evaluated = [line for line in lines if "eval_loss" in line]
    assert [line["global_step"] for line in trained] == [1, 3, 6, 7]
    assert [line["global_step"] for line in evaluated] == [5, 7]
    assert trained[0].keys() >= {
        "loss",
        "acc",
        "grad_norm",
        "learning_rate",
        "epoch",
        "global_step",
    }
    assert evaluated[0].keys() >= {"eval_loss", "eval_acc", "epoch", "global_step"}
    assert trained[-1]["epoch"] == pytest.approx(7 / 3, abs=1e-6)


def test_a_line_is_the_mean_over_its_tokens(run_dir: Path) -> None:
    events = [json.loads(line) for line in (run_dir / "events.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert len(steps) == 7
    lines = [json.loads(line) for line in (run_dir / "logging.jsonl").read_text().splitlines()]
    [line] = [line for line in lines if line["global_step"] == 6 and "loss" in line]
    window = steps[3:6]
    total = sum(step["loss"] * step["num_supervised"] for step in window)
    assert line["loss"] == pytest.approx(total / sum(step["num_supervised"] for step in window))
    assert line["grad_norm"] == window[-1]["grad_norm"]


def test_summary_of_steps_without_accuracy() -> None:
    steps = [StepEvent(n, 2, n / 2, float(n), 1e-3, 1.0, 10, n, 0.5, 1.0) for n in (1, 2)]
    line = summarise(steps)
    assert line["loss"] == pytest.approx((1 * 1 + 2 * 2) / 3)
    assert "acc" not in line and line["tokens_per_s"] == 20.0


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_curves_are_pictures(run_dir: Path) -> None:
    names = {path.name for path in (run_dir / "images").iterdir()}
    assert {"train_loss.png", "train_learning_rate.png", "eval_loss.png", "train_acc.png"} <= names
    for path in (run_dir / "images").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard")
def test_tensorboard_has_every_step(run_dir: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(run_dir / "runs"))
    board.Reload()
    assert {"train/loss", "train/learning_rate", "eval/loss", "eval/acc"} <= set(
        board.Tags()["scalars"]
    )
    assert [item.step for item in board.Scalars("train/loss")] == list(range(1, 8))


def test_smoothing_starts_at_the_first_value() -> None:
    assert smoothed([4.0])[0] == pytest.approx(4.0)
    assert smoothed([2.0] * 5) == pytest.approx([2.0] * 5)
    found = smoothed([0.0, 1.0])
    assert found[1] == pytest.approx(0.1 / (1 - 0.9**2))
    assert math.isclose(smoothed([1.0, 5.0, 9.0], weight=0.0)[2], 9.0)


def test_missing_packages(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name in ("matplotlib", "tensorboard") else original(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    events: list[Any] = []
    run_training(tiny_model_dir, tmp_path, make_config(train={"max_steps": 1}), events=events)
    warnings = [event.message for event in events if isinstance(event, WarningEvent)]
    assert warnings == ["no curves in images/: pip install 'selfcog[plots]'"]
    assert not (tmp_path / "images").exists()
    config = make_config(output={"report_to": ("tensorboard",)})
    with pytest.raises(MissingExtraError, match=r"pip install 'selfcog\[tensorboard\]'"):
        run_training(tiny_model_dir, tmp_path / "b", config)
