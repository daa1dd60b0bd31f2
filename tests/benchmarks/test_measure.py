"""Running commands, reading what the probe wrote, and the commands of the contestants."""

from __future__ import annotations

import json
import struct
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import measure
from benchmarks.commands import merge_commands, quick_commands, token_commands
from benchmarks.contestants import (
    DEMO_SETTINGS,
    OURS,
    PEERS,
    SETTINGS,
    Job,
    Setting,
    accumulation,
    environment,
    find_installed,
    train_command,
)
from benchmarks.measure import Outcome, command_reading, run, start_reading, training_reading
from benchmarks.models import SHAPES, TrainingRows
from benchmarks.parts import compare_models

DONE = Outcome("ok", 0, 1.0, 2.0, 10, 5, "a\n\nb\n")
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def mark(cpu_s: float, wall_s: float) -> dict[str, float]:
    return {"cpu_s": cpu_s, "wall_s": wall_s, "peak_rss": 2e9}


def test_a_command_is_accounted_for(tmp_path: Path) -> None:
    code = "import sys, time; print(sys.stdin.read()); time.sleep(0.2); sys.exit(3)"
    found = run([sys.executable, "-c", code], tmp_path / "log.txt", stdin="hello")
    assert (found.status, found.code, found.output.strip()) == ("ok", 3, "hello")
    assert 0 < found.cpu_s < found.wall_s
    assert found.peak_rss >= found.peak_anon > 0
    assert command_reading(found, fails=True).status == "ok"
    assert command_reading(found, fails=False).message == "exit code 3: hello"


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    found = run(SLEEP, tmp_path / "log.txt", timeout_s=0.1)
    assert found.status == "too slow" and found.wall_s < 10
    assert command_reading(found, fails=True).status == "too slow"


def test_memory_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "available_memory", lambda: 1000)
    assert run(SLEEP, tmp_path / "log.txt").status == "out of memory"


def test_a_training_is_measured_from_its_first_forward_to_its_last_step() -> None:
    steps = [mark(15.0, 20.0), mark(25.0, 34.0)]
    found = {"first_step": mark(5.0, 9.0), "steps": steps, "lookups": ["hub"]}
    values = training_reading(DONE, found, 2, 4000).values
    assert values["tokens_per_cpu_s"] == 200.0
    assert (values["loop_cpu_s"], values["loop_wall_s"]) == (20.0, 25.0)
    assert (values["first_step_cpu_s"], values["peak_rss_gb"]) == (5.0, 2.0)
    assert values["lookups"] == 1.0
    assert "tokens_per_cpu_s" not in training_reading(DONE, found, 2, None).values


def test_a_training_that_ended_early_has_no_numbers() -> None:
    found = {"first_step": mark(5.0, 9.0), "steps": [mark(15.0, 20.0)], "lookups": []}
    reading = training_reading(DONE, found, 2, 4000)
    assert (reading.status, reading.values) == ("failed", {})
    assert reading.message == "1 of 2 steps, exit code 0: a / b"
    assert training_reading(DONE, None, 2, 4000).status == "failed"
    assert start_reading(DONE, None).status == "failed"
    assert start_reading(DONE, found).values["first_step_cpu_s"] == 5.0


def make_job(tmp_path: Path) -> Job:
    rows = TrainingRows(tmp_path / "rows.jsonl", 16, 1000)
    return Job(tmp_path / "model", rows, 1, 16, tmp_path / "job")


@pytest.mark.parametrize("setting", [*SETTINGS, *DEMO_SETTINGS], ids=lambda one: one.label)
def test_everyone_trains_the_same(setting: Setting, tmp_path: Path) -> None:
    job = make_job(tmp_path)
    words = train_command("python", setting, job)
    assert words[0] == "python" and str(job.probe_result) in words
    if setting.peer == "llamafactory":
        settings = json.loads((job.folder / "train.yaml").read_text("utf-8"))
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    given = dict(pairwise(words))
    rank = given.get("--lora_rank", given.get("--rank"))
    alpha = given.get("--lora_alpha", given.get("--alpha"))
    assert (rank, alpha) == ("8", "32")
    if setting.peer == OURS:
        examples = int(given["--global_batch_size"])
    else:
        batch = given.get("--per_device_train_batch_size", given.get("--batch"))
        times = given.get("--gradient_accumulation_steps", given.get("--accumulation"))
        examples = int(batch or 0) * int(times or 0)
    assert examples == job.examples
    assert given.get("--max_steps", given.get("--steps")) == "1"


def test_batches_must_make_up_a_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no whole batches"):
        accumulation(Setting("hf", "batch 3", batch=3), make_job(tmp_path))
    for setting in SETTINGS:
        assert all(SHAPES[name].examples % setting.batch == 0 for name in ("S", "M"))


def test_only_peers_are_told_to_stay_offline(tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE" not in environment(OURS, 1, tmp_path)
    assert environment("hf", 1, tmp_path)["HF_HUB_OFFLINE"] == "1"
    assert "OMP_NUM_THREADS" not in environment("hf", None, tmp_path)


def test_a_peer_that_is_not_there_is_listed(tmp_path: Path) -> None:
    found = find_installed({name: str(tmp_path / "none") for name in PEERS}, tmp_path)
    assert not found.pythons and set(found.missing) == set(PEERS)
    assert found.of(SETTINGS) == []


def test_commands_say_what_is_expected_of_them(tmp_path: Path) -> None:
    merges = merge_commands(tmp_path / "m", tmp_path / "a", tmp_path)
    assert [one.peer for one in merges[:2]] == [OURS, "hf"]
    assert len({one.made for one in merges}) == len(merges)
    quick = quick_commands(tmp_path, tmp_path, tmp_path)
    assert all(one.fails == ("error" in one.name) for one in quick)
    tokens = token_commands(tmp_path, tmp_path, tmp_path, tmp_path)
    assert {one.name for one in tokens} == {"first token"}


def write_tensors(folder: Path, tensors: dict[str, bytes]) -> Path:
    header, start = {}, 0
    for name, data in tensors.items():
        end = start + len(data)
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    folder.mkdir()
    content = struct.pack("<Q", len(text)) + text + b"".join(tensors.values())
    (folder / "model.safetensors").write_bytes(content)
    return folder


def test_models_are_compared_byte_by_byte(tmp_path: Path) -> None:
    one = write_tensors(tmp_path / "a", {"x": b"12", "y": b"34", "z": b"5"})
    other = write_tensors(tmp_path / "b", {"y": b"35", "x": b"12"})
    assert compare_models(one, one) == (3, [])
    assert compare_models(one, other) == (3, ["z", "y"])
