"""One training of many: its folder, its process, its result.

FOLDER/<name>-<hash>/
    config.yaml     all settings; selfcog sft config.yaml runs it again
    log.txt         what the process printed
    run/            the run directory
    result.json     written last, and only where the training succeeded
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from selfcog.config.load import dump_yaml
from selfcog.config.schema import SftConfig
from selfcog.errors import DataError
from selfcog.evaluate.scorecard import Scorecard
from selfcog.runs import RunDir, write_json_atomic, write_text_atomic
from selfcog.sweep.scores import Scores

FORMAT = 1
# Settings that say where results go or how fast they come, not what is learnt.
PLACES = ("output_dir", "add_version", "run_name", "progress")
POLL_SECONDS = 0.1
STOP_SECONDS = 5.0
# What torchrun and a user of several processes set: a trial is one process.
RANK_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "NPROC_PER_NODE",
    "NNODES",
    "NODE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)
MAX_NAME, MAX_MESSAGE = 100, 300


@dataclass(frozen=True, slots=True)
class Trial:
    """A training with any settings; ``name`` is for people."""

    name: str
    config: SftConfig

    @property
    def folder_name(self) -> str:
        """The name as a folder, and 8 digits of a hash of all settings that can change a result."""
        readable = re.sub(r"[^\w.=+-]+", "_", self.name).strip("_.")[:MAX_NAME]
        text = json.dumps(learnt_settings(self.config), ensure_ascii=False, sort_keys=True)
        return f"{readable or 'trial'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended. ``folder`` is absolute; ``checkpoint``, the best one, is relative to it.

    ``message`` says why a trial failed; ``exit_code`` is negative where a signal ended it, None
    where no process ran. ``scores`` is None where it failed, and where no card was asked for.
    """

    name: str
    folder: str
    status: Literal["done", "failed"]
    exit_code: int | None = None
    seconds: float = 0.0
    message: str = ""
    checkpoint: str | None = None
    scores: Scores | None = None

    @property
    def log_path(self) -> Path:
        return Path(self.folder) / "log.txt"

    @property
    def checkpoint_path(self) -> Path | None:
        return None if self.checkpoint is None else Path(self.folder) / self.checkpoint

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self.name,
            "status": self.status,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "message": self.message,
            "checkpoint": self.checkpoint,
            "scores": None if self.scores is None else self.scores.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to train: nothing but texts, so that it travels to other machines.

    ``threads`` None: the pool decides. ``working_dir``: relative paths in the settings start there.
    """

    name: str
    folder: str
    config_text: str
    working_dir: str
    threads: int | None = None

    @classmethod
    def of(cls, trial: Trial, parent: Path) -> Job:
        folder = parent / trial.folder_name
        output = trial.config.output.model_copy(
            update={
                "output_dir": str(folder / "run"),
                "add_version": False,
                "run_name": None,
                "progress": False,
            }
        )
        return cls(
            trial.name,
            str(folder),
            dump_yaml(trial.config.model_copy(update={"output": output})),
            os.getcwd(),
            trial.config.train.num_threads,
        )


@dataclass(frozen=True, slots=True)
class Running:
    """A training that has begun. ``log`` stays open, and locked, until it ends."""

    job: Job
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: float


def learnt_settings(config: SftConfig) -> dict[str, Any]:
    """All settings as JSON values by section, without PLACES and num_threads."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    tree["output"] = {key: value for key, value in tree["output"].items() if key not in PLACES}
    tree["train"] = {key: value for key, value in tree["train"].items() if key != "num_threads"}
    return tree


def start(job: Job, threads: int, gpu: str | None = None) -> Running:
    """Begin a training from nothing; what an earlier attempt left in the folder is removed.

    ``gpu`` is the one that it sees; None: what this process sees. Raises DataError where the
    folder cannot be used here, or another process is at work in it.
    """
    folder = Path(job.folder)
    for path in (folder.parent, Path(job.working_dir)):
        if not path.is_dir():
            raise DataError(
                f"{path} is not there on {socket.gethostname()}; all machines need the same folders"
            )
    folder.mkdir(exist_ok=True)
    log = (folder / "log.txt").open("ab")
    try:
        _lock(log, folder)
        log.truncate(0)
        shutil.rmtree(folder / "run", ignore_errors=True)
        write_text_atomic(folder / "config.yaml", job.config_text)
        process = subprocess.Popen(
            [sys.executable, "-m", "selfcog", "sft", "--config", str(folder / "config.yaml")],
            cwd=job.working_dir,
            env=environment(os.environ, job.threads or threads, gpu),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches this process only, which then ends its children, grandchildren too.
            start_new_session=True,
        )
    except BaseException:
        log.close()
        raise
    return Running(job, process, log, time.monotonic())


def environment(environ: Mapping[str, str], threads: int, gpu: str | None) -> dict[str, str]:
    """The variables of a trial's process."""
    kept = {name: text for name, text in environ.items() if name not in RANK_VARIABLES}
    kept |= {
        "OMP_NUM_THREADS": str(threads),
        # The log can be followed while the training runs, and read as UTF-8.
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "COLUMNS": "120",
    }
    if gpu is not None:
        kept["CUDA_VISIBLE_DEVICES"] = gpu
    return kept


def finish(running: Running) -> TrialResult:
    """The result of a training whose process has ended; result.json is written if it succeeded."""
    job, code = running.job, running.process.wait()
    running.log.close()
    seconds = round(time.monotonic() - running.began, 1)
    folder = Path(job.folder)
    if code == 0:
        try:
            result = _collect(job, seconds)
        except (OSError, KeyError, ValueError) as error:
            return _failed(job, f"no result: {error}", code, seconds)
        write_json_atomic(folder / "result.json", result.to_json())
        return result
    words = last_words(folder / "log.txt")
    how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    return _failed(job, f"{how}: {words}" if words else how, code, seconds)


def stop(trainings: Iterable[Running]) -> None:
    """End these trainings and all their processes; a second Ctrl-C ends them at once."""
    left = list(trainings)
    try:
        for one in left:
            _signal(one, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(one.process.poll() is None for one in left):
            time.sleep(0.05)
    finally:
        for one in left:
            _signal(one, signal.SIGKILL)
            one.process.wait()
            one.log.close()


def run_job(job: Job, threads: int, gpu: str | None = None) -> TrialResult:
    """Train and wait for the end. Ended from outside, it takes its processes along."""
    try:
        running = start(job, threads, gpu)
    except (DataError, OSError) as error:
        return _failed(job, str(error))
    try:
        # Not wait(): Ray's cancel cannot break a call that blocks.
        while running.process.poll() is None:
            time.sleep(POLL_SECONDS)
        return finish(running)
    except BaseException:
        stop([running])
        raise


def read_result(folder: Path) -> TrialResult | None:
    """What is recorded in a trial's folder; None where it has not succeeded yet.

    Raises DataError for a file that this version did not write.
    """
    path = folder / "result.json"
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            raise ValueError("another format")
        if data["scores"] is not None:
            data["scores"] = Scores.from_json(data["scores"])
        return TrialResult(folder=str(folder), **data)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it to train this trial again"
        ) from None


def failed_to_run(job: Job, message: str) -> TrialResult:
    """The result of a trial whose worker was lost."""
    return _failed(job, message)


def last_words(log: Path) -> str:
    """The error line of a log, else its last line; "" for none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("selfcog: error:")]
    words = (errors or lines or [""])[-1].removeprefix("selfcog: error:").strip()
    return words if len(words) <= MAX_MESSAGE else f"{words[:MAX_MESSAGE]}…"


def _collect(job: Job, seconds: float) -> TrialResult:
    """Raises OSError, KeyError or ValueError where the run's files are not those of a whole run."""
    folder = Path(job.folder)
    run = RunDir(folder / "run")
    state = json.loads(run.state_path.read_text(encoding="utf-8"))
    # By name: the folder may be reached by another path elsewhere.
    checkpoint = run.path / Path(state["best_model_checkpoint"]).name
    card = checkpoint / "scorecard.json"
    scores = None
    if card.is_file():
        scores = Scores.of(Scorecard.from_json(json.loads(card.read_text(encoding="utf-8"))))
    return TrialResult(
        job.name,
        job.folder,
        "done",
        0,
        seconds,
        checkpoint=str(checkpoint.relative_to(folder)),
        scores=scores,
    )


def _failed(job: Job, message: str, code: int | None = None, seconds: float = 0.0) -> TrialResult:
    return TrialResult(job.name, job.folder, "failed", code, seconds, message)


def _lock(log: IO[bytes], folder: Path) -> None:
    """The training inherits the open log and with it the lock, so it outlives a killed sweep."""
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(
            f"{folder}: another process is training this; wait for it, or end it first"
        ) from None
    except OSError:
        # Some network file systems have no locks; then nobody is kept out.
        return


def _signal(running: Running, number: int) -> None:
    """To the process and its children. Not after its end: its number may be another's by then."""
    if running.process.poll() is None:
        os.killpg(running.process.pid, number)
