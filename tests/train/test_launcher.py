"""The environment variables of several processes, and what is made of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from selfcog.errors import ConfigError
from selfcog.train import launch
from selfcog.train.launch import (
    available_cores,
    child_environment,
    maybe_relaunch,
    run_child,
    torchrun_options,
)

NAMES = ("NPROC_PER_NODE", "NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "RANK")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_one_node() -> None:
    options = torchrun_options({"NPROC_PER_NODE": "8", "MASTER_PORT": "29500"})
    assert options == [
        "--nproc_per_node=8",
        "--nnodes=1",
        "--master_addr=127.0.0.1",
        "--master_port=29500",
    ]


def test_a_free_port_is_found_on_one_node() -> None:
    ports = {torchrun_options({"NPROC_PER_NODE": "2"})[-1] for _ in range(3)}
    assert all(1024 < int(port.removeprefix("--master_port=")) < 65536 for port in ports)


def test_several_nodes() -> None:
    environ = {"NPROC_PER_NODE": "4", "NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.7"}
    assert torchrun_options(environ) == [
        "--nproc_per_node=4",
        "--nnodes=2",
        "--node_rank=1",
        "--master_addr=10.0.0.7",
        "--master_port=29500",
    ]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"NPROC_PER_NODE": "zwei"}, "NPROC_PER_NODE=zwei must be a whole number of at least 1"),
        ({"NPROC_PER_NODE": "0"}, "at least 1"),
        ({"NNODES": "2"}, "needs MASTER_ADDR"),
        ({"NNODES": "2", "NODE_RANK": "2", "MASTER_ADDR": "x"}, "must be below NNODES=2"),
    ],
)
def test_bad_variables_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        torchrun_options(environ)


def test_cores_are_shared_out() -> None:
    one_each = child_environment({"NPROC_PER_NODE": str(available_cores())})
    assert one_each["OMP_NUM_THREADS"] == "1"
    assert child_environment({"NPROC_PER_NODE": "1"})["OMP_NUM_THREADS"] == str(available_cores())
    assert child_environment({"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


def test_only_the_first_process_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def note(command: list[str], environ: Mapping[str, str]) -> int:
        started.append(command)
        return 5

    monkeypatch.setattr(launch, "run_child", note)
    assert maybe_relaunch(["sft", "--model", "x"]) is None
    monkeypatch.setenv("NPROC_PER_NODE", "2")
    assert maybe_relaunch(["sft", "--model", "x"]) == 5
    assert started[0][-5:] == ["-m", "selfcog", "sft", "--model", "x"]
    monkeypatch.setenv("RANK", "1")
    assert maybe_relaunch(["sft", "--model", "x"]) is None
    assert len(started) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(2)", 2),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_exit_codes_of_children(body: str, code: int) -> None:
    assert run_child([sys.executable, "-c", f"import sys; {body}"], os.environ) == code


def test_the_launcher_does_not_load_torch() -> None:
    program = "import sys, selfcog.train.launch; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
