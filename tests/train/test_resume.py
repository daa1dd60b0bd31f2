"""A training that goes on from a checkpoint is the training that never stopped, bit for bit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_training import make_config, make_rows, run_training

from selfcog.errors import ConfigError, TrainError
from selfcog.events import EventLog, StartEvent, StepEvent
from selfcog.runs import RunDir
from selfcog.train.checkpoint import find_checkpoint

# 24 rows, 10 a step: 3 steps an epoch, the third of 4 rows; checkpoint-4 is inside epoch 2.
SECTIONS: dict[str, dict[str, Any]] = {
    "adapter": {"lora_dropout": 0.2},
    "train": {
        "global_batch_size": 10,
        "num_train_epochs": 3.0,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.3,
        "weight_decay": 0.01,
    },
    "output": {
        "eval_steps": 2,
        "save_total_limit": None,
        "logging_steps": 3,
        "save_only_model": False,
    },
}
DEV = make_rows(4, seed=9)


def steps_of(events: list[Any]) -> list[tuple[Any, ...]]:
    return [
        (e.step, e.epoch, e.loss, e.grad_norm, e.learning_rate, e.num_supervised)
        for e in events
        if isinstance(e, StepEvent)
    ]


def without_speed(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_s"} for line in lines]


@pytest.fixture(scope="module")
def unbroken(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    run_dir = tmp_path_factory.mktemp("unbroken")
    events: list[Any] = []
    run_training(tiny_model_dir, run_dir, make_config(**SECTIONS), dev_rows=DEV, events=events)
    return run_dir, steps_of(events)


def stopped_copy(source: Path, target: Path, at: int) -> Path:
    """The folder as a crash right after ``checkpoint-<at>`` would have left it."""
    shutil.copytree(source, target)
    for step, folder in RunDir(target).checkpoints():
        if step > at:
            shutil.rmtree(folder)
    return target


@pytest.mark.parametrize("at", [4, 6])
@pytest.mark.parametrize("tuner", ["lora", "full"])
def test_resumed_losses_are_the_unbroken_ones(
    tiny_model_dir: Path, tmp_path: Path, unbroken: Any, at: int, tuner: str
) -> None:
    sections = {**SECTIONS, "adapter": {"tuner_type": tuner, "lora_dropout": 0.2}}
    config = make_config(**sections)
    if tuner == "full":
        run_dir = tmp_path / "first"
        whole: list[Any] = []
        run_training(tiny_model_dir, run_dir, config, dev_rows=DEV, events=whole)
        wanted = steps_of(whole)
    else:
        run_dir, wanted = unbroken
    again = stopped_copy(run_dir, tmp_path / "again", at)
    events: list[Any] = []
    result = run_training(
        tiny_model_dir, again, config, dev_rows=DEV, events=events, resume_from=again
    )
    [start] = [event for event in events if isinstance(event, StartEvent)]
    assert start.first_step == at
    assert steps_of(events) == wanted[at:] and len(wanted) == 9
    weights = {"lora": "adapter_model.safetensors", "full": "model.safetensors"}[tuner]
    for name in (weights, "state/optimizer.safetensors", "state/random.json"):
        mine = (result.last_checkpoint / name).read_bytes()
        assert mine == (run_dir / "checkpoint-9" / name).read_bytes(), name
    assert without_speed(again / "logging.jsonl") == without_speed(run_dir / "logging.jsonl")
    assert (
        result.best_checkpoint.name
        == json.loads((run_dir / "run.json").read_text())["best_model_checkpoint"].rpartition("/")[
            2
        ]
    )


def test_a_finished_run_has_nothing_left_to_do(
    tiny_model_dir: Path, tmp_path: Path, unbroken: Any
) -> None:
    again = stopped_copy(unbroken[0], tmp_path / "again", 9)
    events: list[Any] = []
    result = run_training(
        tiny_model_dir, again, make_config(**SECTIONS), events=events, resume_from=again
    )
    assert not steps_of(events) and result.last_checkpoint.name == "checkpoint-9"


def test_retention_goes_on_after_a_resume(
    tiny_model_dir: Path, tmp_path: Path, unbroken: Any
) -> None:
    again = stopped_copy(unbroken[0], tmp_path / "again", 4)
    sections = {**SECTIONS, "output": {**SECTIONS["output"], "save_total_limit": 2}}
    result = run_training(
        tiny_model_dir, again, make_config(**sections), dev_rows=DEV, resume_from=again
    )
    kept = {path for _, path in RunDir(again).checkpoints()}
    assert kept >= {result.last_checkpoint, result.best_checkpoint} and len(kept) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 2e-3}, "learning_rate was 0.001, is 0.002"),
        ({"num_train_epochs": 4.0}, "num_steps was 9, is 12"),
        ({"global_batch_size": 8}, "examples_per_step was 10, is 8"),
    ],
)
def test_other_settings_are_refused_by_name(
    tiny_model_dir: Path, tmp_path: Path, unbroken: Any, change: dict[str, Any], message: str
) -> None:
    config = make_config(**{**SECTIONS, "train": {**SECTIONS["train"], **change}})
    with pytest.raises(ConfigError, match=message):
        run_training(tiny_model_dir, tmp_path, config, resume_from=unbroken[0])


def test_other_rows_or_another_adapter_are_refused(
    tiny_model_dir: Path, tmp_path: Path, unbroken: Any
) -> None:
    rows = make_rows()
    changed = [replace(rows[0], labels=[-100, *rows[0].labels[1:-1], -100]), *rows[1:]]
    for other in (changed, rows[::-1]):
        with pytest.raises(TrainError, match="the training rows are not those"):
            run_training(
                tiny_model_dir,
                tmp_path,
                make_config(**SECTIONS),
                rows=other,
                resume_from=unbroken[0],
            )
    sections = {**SECTIONS, "adapter": {"lora_dropout": 0.2, "lora_rank": 8}}
    with pytest.raises(ConfigError, match="lora_rank was 4, is 8"):
        run_training(tiny_model_dir, tmp_path, make_config(**sections), resume_from=unbroken[0])


def test_packing_and_memory_settings_may_change(
    tiny_model_dir: Path, tmp_path: Path, unbroken: Any
) -> None:
    train = {**SECTIONS["train"], "packing": False, "per_device_train_batch_size": 2}
    run_training(
        tiny_model_dir,
        tmp_path / "new",
        make_config(**{**SECTIONS, "train": train}),
        resume_from=unbroken[0] / "checkpoint-8",
    )
    assert [step for step, _ in RunDir(tmp_path / "new").checkpoints()] == [9]


def test_find_checkpoint(tmp_path: Path, unbroken: Any) -> None:
    run_dir, _ = unbroken
    assert find_checkpoint(run_dir) == run_dir / "checkpoint-9"
    assert find_checkpoint(run_dir / "checkpoint-2") == run_dir / "checkpoint-2"
    with pytest.raises(ConfigError, match="does not exist"):
        find_checkpoint(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is no checkpoint and holds none"):
        find_checkpoint(tmp_path)
    bare = stopped_copy(run_dir, tmp_path / "bare", 2)
    shutil.rmtree(bare / "checkpoint-2" / "state")
    with pytest.raises(ConfigError, match="save_only_model"):
        find_checkpoint(bare)


def test_a_damaged_state_is_named(tiny_model_dir: Path, tmp_path: Path, unbroken: Any) -> None:
    again = stopped_copy(unbroken[0], tmp_path / "again", 2)
    (again / "checkpoint-2" / "state" / "trainer.json").write_text('{"step": ')
    with pytest.raises(TrainError, match=r"cannot continue from .*checkpoint-2"):
        run_training(tiny_model_dir, again, make_config(**SECTIONS), resume_from=again)


def test_nothing_is_logged_twice(tmp_path: Path) -> None:
    """A step that was repeated after a crash is in logging.jsonl once."""
    from selfcog.train.logs import TrainingLog

    def step(number: int, loss: float) -> StepEvent:
        return StepEvent(number, 8, number / 4, loss, 1e-3, 1.0, 10, 5, 0.1, 1.0)

    def start(first: int) -> StartEvent:
        return StartEvent(8, 2.0, 8, 2, 1, 1, 1, "cpu", first)

    run = RunDir(tmp_path)
    log = EventLog(run.events_path, [TrainingLog(run, 3)])
    log.emit(start(0))
    for number in range(1, 7):
        log.emit(step(number, 1.0))
    log = EventLog(run.events_path, [TrainingLog(run, 3)])
    log.emit(start(4))
    for number in range(5, 9):
        log.emit(step(number, 4.0))
    lines = [json.loads(line) for line in run.logging_path.read_text().splitlines()]
    assert [line["global_step"] for line in lines] == [1, 3, 6, 8]
    assert [line["loss"] for line in lines] == [1.0, 1.0, 3.0, 4.0]
