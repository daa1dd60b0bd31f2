"""Several processes from one command: ``NPROC_PER_NODE=2 selfcog sft …``.

The variables are those of ms-swift and torchrun: NPROC_PER_NODE, NNODES, NODE_RANK, MASTER_ADDR,
MASTER_PORT. This process starts torchrun as a child, hands signals on, and ends with the exit
code of the training. It never imports torch.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from selfcog.errors import ConfigError

# Ranks finish a step and write a checkpoint after SIGTERM; torchrun would kill them after 30 s.
# More than this would be lost where a rank waits for one that has died.
SHUTDOWN_SECONDS = 120


def maybe_relaunch(argv: Sequence[str]) -> int | None:
    """Run ``selfcog argv`` in several processes if the environment asks for it.

    Returns the exit code of the training, or None where this process is to do the work itself:
    nothing was asked for, or it is one of the ranks. Raises ConfigError for a bad variable.
    """
    if "RANK" in os.environ or not ({"NPROC_PER_NODE", "NNODES"} & os.environ.keys()):
        return None
    options = torchrun_options(os.environ)
    command = [sys.executable, "-m", "selfcog.train.torchrun", *options, "-m", "selfcog", *argv]
    return run_child(command, child_environment(os.environ))


def torchrun_options(environ: Mapping[str, str]) -> list[str]:
    """The options of ``torch.distributed.run`` for these variables. Raises ConfigError."""
    num_processes = _read_number(environ, "NPROC_PER_NODE", 1, least=1)
    num_nodes = _read_number(environ, "NNODES", 1, least=1)
    node_rank = _read_number(environ, "NODE_RANK", 0, least=0)
    options = [f"--nproc_per_node={num_processes}", f"--nnodes={num_nodes}"]
    if num_nodes == 1:
        port = _read_number(environ, "MASTER_PORT", 0, least=1) or find_port()
        address = environ.get("MASTER_ADDR", "127.0.0.1")
        return [*options, f"--master_addr={address}", f"--master_port={port}"]
    if not environ.get("MASTER_ADDR"):
        raise ConfigError(f"NNODES={num_nodes} needs MASTER_ADDR, the address of the first node")
    if node_rank >= num_nodes:
        raise ConfigError(f"NODE_RANK={node_rank} must be below NNODES={num_nodes}")
    port = _read_number(environ, "MASTER_PORT", 29500, least=1)
    return [
        *options,
        f"--node_rank={node_rank}",
        f"--master_addr={environ['MASTER_ADDR']}",
        f"--master_port={port}",
    ]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with the cores shared out among the processes of this node."""
    num_processes = _read_number(environ, "NPROC_PER_NODE", 1, least=1)
    threads = max(available_cores() // num_processes, 1)
    defaults = {
        "OMP_NUM_THREADS": str(threads),
        # Threads that wait by spinning take the cores from the other ranks' threads.
        "OMP_WAIT_POLICY": "PASSIVE",
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_SECONDS),
    }
    return {**defaults, **environ}


def available_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_child(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run ``command``, hand SIGTERM and SIGINT on to it, and return its exit code.

    The child gets a session of its own, so that Ctrl-C reaches it once, from here. A second
    Ctrl-C kills it and all its processes. Ended by a signal: 128 + its number.
    """
    received: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def hand_on(number: int, frame: FrameType | None) -> None:
        again = number == signal.SIGINT and number in received
        received.append(number)
        if child is not None and child.poll() is None:
            _kill_tree(child.pid) if again else child.send_signal(number)

    previous: dict[int, Any] = {
        number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        child = subprocess.Popen(list(command), env=dict(environ), start_new_session=True)
        for number in received:  # it came while the child was being made
            child.send_signal(number)
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if code != 0 and received:
        return 128 + received[0]
    return 128 - code if code < 0 else code


def _kill_tree(pid: int) -> None:
    psutil: Any = importlib.import_module("psutil")  # comes with accelerate
    try:
        root = psutil.Process(pid)
        family = [*root.children(recursive=True), root]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _read_number(environ: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{name}={text} must be a whole number of at least {least}")
    return number
