"""Trainings on this machine: a number of processes at once, and a GPU for each where there are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfcog.errors import DataError
from selfcog.sweep.trial import (
    POLL_SECONDS,
    Job,
    Running,
    TrialResult,
    failed_to_run,
    finish,
    start,
    stop,
)
from selfcog.train.launch import available_cores


@dataclass(frozen=True, slots=True)
class Workers:
    """How many trainings run at once, and CPU threads of each."""

    num_workers: int
    threads: int

    @classmethod
    def plan(cls, cores: int, num_gpus: int, asked: int | None = None) -> Workers:
        """One a GPU, without GPUs one for two cores, unless asked otherwise; cores shared out."""
        num_workers = asked or num_gpus or max(1, cores // 2)
        return cls(num_workers, max(1, cores // num_workers))


@dataclass(frozen=True, slots=True)
class LocalPool:
    """Processes of this machine. ``gpus`` are names for CUDA_VISIBLE_DEVICES, shared in turn."""

    num_workers: int
    threads: int
    gpus: tuple[str, ...] = ()

    @classmethod
    def plan(cls, num_workers: int | None = None) -> LocalPool:
        """The pool that suits this machine."""
        gpus = find_gpus(os.environ)
        workers = Workers.plan(available_cores(), len(gpus), num_workers)
        return cls(workers.num_workers, workers.threads, gpus)

    @property
    def about(self) -> str:
        text = f"{self.num_workers} at once, CPU threads of each: {self.threads}"
        return f"{text}, on GPU {', '.join(self.gpus)}" if self.gpus else text

    def run(self, jobs: Sequence[Job]) -> Iterator[TrialResult]:
        """Results as they come. Closing the iterator early ends all trainings."""
        waiting = deque(jobs)
        running: dict[int, Running] = {}
        try:
            while waiting or running:
                for slot in range(self.num_workers):
                    if slot in running or not waiting:
                        continue
                    job = waiting.popleft()
                    try:
                        running[slot] = start(job, self.threads, self._gpu_of(slot))
                    except (DataError, OSError) as error:
                        yield failed_to_run(job, str(error))
                ended = [slot for slot, one in running.items() if one.process.poll() is not None]
                for slot in ended:
                    yield finish(running.pop(slot))
                if not ended:
                    time.sleep(POLL_SECONDS)
        finally:
            stop(running.values())

    def _gpu_of(self, slot: int) -> str | None:
        return self.gpus[slot % len(self.gpus)] if self.gpus else None


def find_gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs that a training would see; () without any.

    torch is asked, in a process of its own, where there are signs of a GPU or its driver.
    """
    named = environ.get("CUDA_VISIBLE_DEVICES")
    signs = shutil.which("nvidia-smi") or Path("/dev/kfd").exists()
    if named in ("", "-1") or not signs:
        return ()
    code = "import torch; print(torch.cuda.device_count())"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
        )
        count = int(done.stdout.strip() or 0)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()
    names = [name.strip() for name in named.split(",")] if named else map(str, range(count))
    return tuple(names)[:count]
