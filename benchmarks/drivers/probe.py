"""Runs a training program as its users do, and notes when its loop begins and ends each step.

    python probe.py [--stop_at_first_step] RESULT.json module|file NAME [ARGUMENT …]

The same for every contestant, and without touching any of them: the loop begins with the first
forward pass of a module that is in training mode with gradients on, and a step ends when a torch
optimiser has stepped. Times are CPU seconds (of all threads) and wall seconds since the process
began. Needs nothing but torch, whichever environment it runs in.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
import time
from pathlib import Path
from typing import Any


class Probe:
    """Writes what it has seen after every step, so that a crash afterwards loses nothing."""

    def __init__(self, result: Path, stop_at_first_step: bool) -> None:
        self.result, self.stop_at_first_step = result, stop_at_first_step
        # Given by the parent: the start of the interpreter counts as well.
        self.started = float(os.environ.get("BENCH_STARTED", time.time()))
        self.found: dict[str, Any] = {"first_step": None, "steps": [], "lookups": []}

    def watch(self) -> None:
        import torch
        from torch.nn.modules.module import register_module_forward_pre_hook
        from torch.optim.optimizer import register_optimizer_step_post_hook

        def on_forward(module: torch.nn.Module, inputs: Any) -> None:
            if module.training and torch.is_grad_enabled():
                handle.remove()
                self.begin()

        def on_step(optimizer: Any, args: Any, kwargs: Any) -> None:
            self.found["steps"].append(self.now())
            self.write()

        handle = register_module_forward_pre_hook(on_forward)
        register_optimizer_step_post_hook(on_step)
        self._watch_network()

    def begin(self) -> None:
        self.found["first_step"] = self.now()
        self.write()
        if self.stop_at_first_step:
            os._exit(0)

    def now(self) -> dict[str, float]:
        return {
            "cpu_s": time.process_time(),
            "wall_s": time.time() - self.started,
            "peak_rss": peak_rss(),
        }

    def write(self) -> None:
        self.result.write_text(json.dumps(self.found), encoding="utf-8")

    def _watch_network(self) -> None:
        """Names that are looked up: a program that is given local folders needs none."""
        own = socket.getaddrinfo

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host not in (None, "", "localhost", "127.0.0.1", "::1"):
                self.found["lookups"].append(str(host))
            return own(host, *args, **kwargs)

        socket.getaddrinfo = getaddrinfo


def peak_rss() -> int:
    """Bytes; of this program alone, unlike ru_maxrss, which starts with what its parent had."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    words = sys.argv[1:]
    stop = "--stop_at_first_step" in words[:1]
    result, kind, name, *arguments = words[1:] if stop else words
    sys.path.pop(0)  # the folder of this file, which the program would not have
    Probe(Path(result), stop).watch()
    sys.argv = [name, *arguments]
    if kind == "module":
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(name, run_name="__main__")


if __name__ == "__main__":
    main()
