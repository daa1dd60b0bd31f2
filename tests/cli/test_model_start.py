"""What is loaded until a model trains its first step or writes its first token: no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Libraries for other things: reading parquet, plots, trackers, servers, and trainers not used.
UNUSED = (
    *("datasets", "pyarrow", "pandas", "sklearn", "matplotlib", "tensorboard", "gradio"),
    *("fastapi", "transformers.trainer", "transformers.training_args", "trl", "deepspeed"),
)
# Says which of them are there when the first forward pass begins, and ends the process.
WATCH = f"""
import os, sys
from torch.nn.modules.module import register_module_forward_pre_hook

def at_first_pass(module, inputs):
    if module.training == (sys.argv[1] == "sft"):
        names = [name for name in {UNUSED!r} if name in sys.modules]
        own = sorted({{n.split(".")[1] for n in sys.modules if n.startswith("selfcog.")}})
        print("unused:", *names, "own:", *own, "peft" in sys.modules, file=sys.stderr, flush=True)
        os._exit(0)

register_module_forward_pre_hook(at_first_pass)
from selfcog.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "1 + 1?", "response": "2"}\n' * 16)
    return path


def start(words: list[str], cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stderr.splitlines()[-1] if done.returncode == 0 else done.stderr


def test_until_the_first_step(tiny_model_dir: Path, rows: Path) -> None:
    words = ["sft", "--model", str(tiny_model_dir), "--dataset", str(rows), "--max_steps", "1"]
    words += ["--split_dataset_ratio", "0", "--replay_sample", "0", "--progress", "false"]
    last = start(words, rows.parent)
    assert last.startswith("unused: own: "), last
    # Nothing is asked for that the measuring parts or the teacher are needed for.
    assert not {"evaluate", "teacher", "export", "sweep"} & set(last.split())


def test_until_the_first_token(tiny_model_dir: Path, tmp_path: Path) -> None:
    last = start(["infer", "--model", str(tiny_model_dir), "--query", "Hi"], tmp_path)
    assert last.startswith("unused: own: "), last
    assert not {"evaluate", "teacher", "export", "sweep", "train", "identity"} & set(last.split())
    assert last.endswith(" False"), "peft is only for adapters"
