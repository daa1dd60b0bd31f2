"""Running one command and accounting for it: CPU seconds, memory, and a limit on that memory.

CPU seconds are user + system of the process and of the children that it waited for, so that other
work on the machine matters little. Memory is looked at every 50 ms, summed over the process and
its children. Linux only: it reads /proc.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

LOOK_S = 0.05
# Of the memory that is free when a run begins; the rest of the machine needs some as well.
MEMORY_SHARE = 0.85
TIMEOUT_S = 1200.0
TAIL_LINES = 4

Status = Literal["ok", "failed", "out of memory", "too slow", "not run"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command took. ``code`` is its exit code; memory in bytes, peaks over its life.

    ``status`` "ok" says nothing about the exit code, only that it ended by itself.
    """

    status: Status
    code: int
    cpu_s: float
    wall_s: float
    peak_rss: int
    peak_anon: int
    output: str = ""

    @property
    def tail(self) -> str:
        """The last lines of what it printed, for a message."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return " / ".join(lines[-TAIL_LINES:])


@dataclass(frozen=True, slots=True)
class Reading:
    """One run of one contestant: numbers by name, or the reason why there are none."""

    values: dict[str, float] = field(default_factory=dict)
    status: Status = "ok"
    message: str = ""


def run(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    *,
    stdin: str = "",
    timeout_s: float = TIMEOUT_S,
) -> Outcome:
    """Run ``command`` to its end in a process group of its own; its output goes to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    limit = int(available_memory() * MEMORY_SHARE)
    started = time.time()
    with log.open("wb") as out, tempfile.TemporaryFile() as words:
        words.write(stdin.encode())
        words.seek(0)
        process = subprocess.Popen(
            command,
            stdin=words,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {}), "BENCH_STARTED": repr(started)},
            start_new_session=True,
        )
        status: Status = "ok"
        peak_rss = peak_anon = 0
        try:
            while True:
                pid, wait_status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                rss, anon = memory_of(process.pid)
                peak_rss, peak_anon = max(peak_rss, rss), max(peak_anon, anon)
                if rss > limit or time.time() - started > timeout_s:
                    status = "out of memory" if rss > limit else "too slow"
                    os.killpg(process.pid, signal.SIGKILL)
                    _, wait_status, usage = os.wait4(process.pid, 0)
                    break
                time.sleep(LOOK_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    if process.returncode == -signal.SIGKILL and status == "ok":
        status = "out of memory"  # the kernel was faster
    return Outcome(
        status,
        process.returncode,
        usage.ru_utime + usage.ru_stime,
        time.time() - started,
        peak_rss,
        peak_anon,
        log.read_text(encoding="utf-8", errors="replace"),
    )


def memory_of(pid: int) -> tuple[int, int]:
    """(resident, anonymous resident) bytes of a process and all its descendants."""
    rss = anon = 0
    for member in [pid, *_descendants(pid)]:
        found = _status(member)
        rss += found.get("VmRSS", 0)
        anon += found.get("RssAnon", 0)
    return rss * 1024, anon * 1024


def available_memory() -> int:
    """Bytes that a new process could use without swapping."""
    return _kilobytes(Path("/proc/meminfo"))["MemAvailable"] * 1024


def total_memory() -> int:
    return _kilobytes(Path("/proc/meminfo"))["MemTotal"] * 1024


def read_probe(path: Path) -> dict[str, Any] | None:
    """What drivers/probe.py wrote; None where the program never got that far."""
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def training_reading(
    outcome: Outcome, found: dict[str, Any] | None, num_steps: int, num_tokens: int | None
) -> Reading:
    """The numbers of a training: from the beginning of its loop to the end of its last step.

    ``num_tokens`` are those of all rows, without padding, whatever the contestant computed; None
    where time is all that is wanted.
    """
    steps = found["steps"] if found else []
    if outcome.status != "ok" or len(steps) < num_steps or found is None:
        status: Status = "failed" if outcome.status == "ok" else outcome.status
        done = f"{len(steps)} of {num_steps} steps, exit code {outcome.code}: {outcome.tail}"
        return Reading(status=status, message=done)
    first, last = found["first_step"], steps[num_steps - 1]
    cpu_s, wall_s = last["cpu_s"] - first["cpu_s"], last["wall_s"] - first["wall_s"]
    speed = {} if num_tokens is None else {"tokens_per_cpu_s": num_tokens / cpu_s}
    return Reading(
        speed
        | {
            "steps_per_s": num_steps / wall_s,
            "loop_cpu_s": cpu_s,
            "loop_wall_s": wall_s,
            "peak_rss_gb": last["peak_rss"] / 1e9,
            "first_step_cpu_s": first["cpu_s"],
            "first_step_wall_s": first["wall_s"],
            "lookups": float(len(found["lookups"])),
        }
    )


def start_reading(outcome: Outcome, found: dict[str, Any] | None) -> Reading:
    """The numbers of a training that the probe ended where its loop began."""
    first = found["first_step"] if found else None
    if outcome.status != "ok" or found is None or first is None:
        status: Status = "failed" if outcome.status == "ok" else outcome.status
        return Reading(status=status, message=f"exit code {outcome.code}: {outcome.tail}")
    return Reading(
        {
            "first_step_cpu_s": first["cpu_s"],
            "first_step_wall_s": first["wall_s"],
            "peak_rss_gb": first["peak_rss"] / 1e9,
            "lookups": float(len(found["lookups"])),
        }
    )


def command_reading(outcome: Outcome, *, fails: bool) -> Reading:
    """The numbers of a whole process; ``fails``: it is meant to end with an error."""
    if outcome.status != "ok" or (outcome.code != 0) != fails:
        status: Status = "failed" if outcome.status == "ok" else outcome.status
        return Reading(status=status, message=f"exit code {outcome.code}: {outcome.tail}")
    return Reading(
        {
            "cpu_s": outcome.cpu_s,
            "wall_s": outcome.wall_s,
            "peak_rss_gb": outcome.peak_rss / 1e9,
            "peak_anon_gb": outcome.peak_anon / 1e9,
        }
    )


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in path.read_text(encoding="ascii").split()]
        except OSError:  # it has ended meanwhile
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _status(pid: int) -> dict[str, int]:
    try:
        return _kilobytes(Path(f"/proc/{pid}/status"))
    except OSError:
        return {}


def _kilobytes(path: Path) -> dict[str, int]:
    """The lines ``Name: number kB`` of a file of /proc."""
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0])
    return found
