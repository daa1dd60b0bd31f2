"""Trials as processes: logs, crashes, resume, locks and signals. The trained program is pretended.

The real one is in test_sweep_command.py.
"""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import made_up
import pytest

from selfcog.errors import ConfigError, DataError
from selfcog.sweep import LocalPool, Trial, TrialResult, run_trials
from selfcog.sweep.local import Workers, find_gpus
from selfcog.sweep.runner import count_done
from selfcog.sweep.trial import Job, environment, last_words


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made_up.pretend(tmp_path)


def trials(*steps: int) -> list[Trial]:
    return [Trial(f"{count} steps", made_up.settings(max_steps=count)) for count in steps]


def test_results_come_in_order_and_are_kept(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    results = run_trials(
        trials(30, 20, 10),
        LocalPool(2, 3, ("4", "7")),
        Path("out"),
        on_result=lambda result, done, total: seen.append((result.status, done, total)),
    )
    assert [one.name for one in results] == ["30 steps", "20 steps", "10 steps"]
    assert [one.scores.kl for one in results if one.scores] == [0.03, 0.02, 0.01]
    assert seen == [("done", 1, 3), ("done", 2, 3), ("done", 3, 3)]
    first = results[0]
    assert first.checkpoint_path == tmp_path / "out" / Path(first.folder).name / "run/checkpoint-7"
    assert first.checkpoint_path.is_dir()
    steps_line, variables = first.log_path.read_text(encoding="utf-8").splitlines()
    assert steps_line == "steps 30 seed 42"
    assert json.loads(variables)["OMP_NUM_THREADS"] == "3"
    gpus = {json.loads(one.log_path.read_text().splitlines()[1])["CUDA_VISIBLE_DEVICES"]
            for one in results}  # fmt: skip
    assert gpus == {"4", "7"}
    assert run_trials(trials(30, 20, 10), NoBackend(), Path("out")) == results


class NoBackend:
    about = "nowhere"

    def run(self, jobs: Sequence[Job]) -> Iterator[TrialResult]:
        raise AssertionError("nothing was to be trained")


def test_a_crash_is_reported_alone_and_tried_again(tmp_path: Path) -> None:
    plan = trials(13, 20)
    crashed, fine = run_trials(plan, LocalPool(1, 1), Path("out"))
    assert (crashed.status, crashed.exit_code) == ("failed", 3)
    assert crashed.message == "exit code 3: thirteen is too much"
    assert crashed.scores is None
    assert fine.status == "done"
    assert count_done(plan, Path("out")) == 1
    # An attempt that was cut off left half a run; the next one begins with none.
    (Path(crashed.folder) / "run").mkdir()
    source = tmp_path / "selfcog/__main__.py"
    # Of another length: Python knows a changed file by its size and its time in whole seconds.
    source.write_text(source.read_text().replace("steps == 13", "steps == 1414"))
    again, _ = run_trials(plan, LocalPool(1, 1), Path("out"))
    assert again.status == "done"
    assert "thirteen" not in again.log_path.read_text()


def test_a_run_without_its_files_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "selfcog/__main__.py").write_text("")
    (lost,) = run_trials(trials(20), LocalPool(1, 1), Path("out"))
    assert lost.status == "failed"
    assert "no result" in lost.message and "run.json" in lost.message


def test_a_trial_that_another_process_trains_is_left_alone() -> None:
    (trial,) = trials(20)
    folder = Path("out") / trial.folder_name
    folder.mkdir(parents=True)
    with (folder / "log.txt").open("w") as log:
        log.write("at work")
        log.flush()
        fcntl.flock(log, fcntl.LOCK_EX)
        (result,) = run_trials([trial], LocalPool(1, 1), Path("out"))
        assert "another process is training this" in result.message
        assert (folder / "log.txt").read_text() == "at work"


def test_what_cannot_stand_side_by_side_is_refused() -> None:
    pool = LocalPool(1, 1)
    with pytest.raises(ConfigError, match="20 steps is there twice"):
        run_trials(trials(20, 20), pool, Path("out"))
    resumed = Trial("x", made_up.settings(resume_from_checkpoint="run"))
    with pytest.raises(ConfigError, match="resume_from_checkpoint"):
        run_trials([resumed], pool, Path("out"))


def test_a_damaged_result_is_not_taken_for_none() -> None:
    (trial,) = trials(20)
    folder = Path("out") / trial.folder_name
    folder.mkdir(parents=True)
    for text in ("{", '{"format": 99}', "[]"):
        (folder / "result.json").write_text(text)
        with pytest.raises(DataError, match="delete it to train this trial again"):
            run_trials([trial], NoBackend(), Path("out"))


SLEEPERS = """
import signal, sys; sys.path.insert(0, {tests!r})
# Whoever runs the tests under nohup has it ignored, and children inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pathlib import Path
import made_up
from selfcog.sweep import LocalPool, Trial, ended_by_signals, run_trials
trials = [Trial(str(seed), made_up.settings(max_steps=99, seed=seed)) for seed in range(3)]
with ended_by_signals():
    run_trials(trials, LocalPool(2, 1), Path("out"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_processes(tmp_path: Path, number: signal.Signals) -> None:
    # In a folder of its own: next to the pretended package it would import that one.
    script = tmp_path / "script" / "sleepers.py"
    script.parent.mkdir()
    script.write_text(SLEEPERS.format(tests=str(Path(__file__).parent)), encoding="utf-8")
    sweep = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    pids = wait_for_pids(tmp_path / "pids", 4)
    sweep.send_signal(number)
    assert sweep.wait(timeout=20) != 0
    deadline = time.monotonic() + 5
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if is_alive(pid)]
    assert not list(tmp_path.glob("out/*/result.json"))


def wait_for_pids(path: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = path.read_text().split() if path.is_file() else []
        if len(found) >= count:
            return [int(pid) for pid in found]
        time.sleep(0.05)
    raise AssertionError("the trials did not start")


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_trial_that_a_signal_ended_says_so(tmp_path: Path) -> None:
    (tmp_path / "selfcog/__main__.py").write_text(
        "import os, signal; print('loading'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    (lost,) = run_trials(trials(20), LocalPool(1, 1), Path("out"))
    assert (lost.exit_code, lost.message) == (-9, "ended by signal 9: loading")


@pytest.mark.parametrize(
    ("cores", "gpus", "asked", "expected"),
    [
        (2, 0, None, (1, 2)),
        (1, 0, None, (1, 1)),
        (16, 0, None, (8, 2)),
        (64, 8, None, (8, 8)),
        (4, 8, None, (8, 1)),
        (16, 8, 2, (2, 8)),
        (2, 0, 4, (4, 1)),
    ],
)
def test_workers_share_the_cores(
    cores: int, gpus: int, asked: int | None, expected: tuple[int, int]
) -> None:
    assert Workers.plan(cores, gpus, asked) == Workers(*expected)


def test_num_threads_of_the_settings_win() -> None:
    job = Job.of(Trial("one", made_up.settings(num_threads=5)), Path("/x"))
    assert job.threads == 5
    assert "num_threads: 5" in job.config_text


def test_a_trial_is_one_process() -> None:
    theirs = {"RANK": "0", "MASTER_PORT": "1", "NPROC_PER_NODE": "4", "HOME": "/h"}
    ours = environment(theirs, 2, None)
    assert set(ours) & {"RANK", "MASTER_PORT", "NPROC_PER_NODE"} == set()
    assert (ours["HOME"], ours["OMP_NUM_THREADS"]) == ("/h", "2")
    assert "CUDA_VISIBLE_DEVICES" not in ours


def test_gpus_that_are_hidden_are_not_used() -> None:
    assert find_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert find_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == ()


def test_gpus_are_counted_by_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("class cuda:\n    device_count = staticmethod(lambda: 2)\n")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert find_gpus({}) == ("0", "1")
    assert find_gpus({"CUDA_VISIBLE_DEVICES": "5, 3"}) == ("5", "3")


def test_last_words_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert last_words(log) == ""
    log.write_bytes(b"one\n\nValueError: two \xff\n\n")
    assert last_words(log) == "ValueError: two \ufffd"
    log.write_text("selfcog: error: no such folder\nbye\n")
    assert last_words(log) == "no such folder"
    log.write_text("x" * 999)
    assert len(last_words(log)) == 301
