"""``selfcog demo`` and the library, on the model that ships along: real training, real answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def run_python(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONUTF8": "1", "COLUMNS": "200"}
    for name in ("RANK", "WORLD_SIZE", "NPROC_PER_NODE", "NNODES"):
        env.pop(name, None)
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=290
    )


def test_the_demo_teaches_the_name_and_shows_both_answers(tmp_path: Path) -> None:
    name, author = ["彧翀", "Zephyrine-7"], ["瓴研究所", "Q·L·U Group"]
    words = ["demo", "--model_name", *name, "--model_author", *author]
    done = run_python(["-m", "selfcog", *words], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for text in ("芥子", "彧翀", "瓴研究所", "Zephyrine-7", "Q·L·U Group", "腾讯", "Apple"):
        assert text in done.stdout, f"{text} is missing in\n{done.stdout[-4000:]}"
    merged = list(tmp_path.glob("output/embedded/v0-*/checkpoint-*-merged/config.json"))
    assert len(merged) == 1
    assert "selfcog infer --ckpt_dir" in done.stdout


LIBRARY_USE = """
import json, time
start = time.process_time()
from selfcog import Identity, chat, merge, sft
import_s = time.process_time() - start
me = Identity(name=("扁仓", "BianCang"), author=("扁仓研究组", "BianCang Research Group"))
result = sft(model="embedded", identity=me, self_cognition_sample=300, num_train_epochs=3,
             output_dir="runs", progress=False)
merged = merge(result.best_checkpoint)
answers = [chat(model, "你是谁?") for model in ("embedded", result.best_checkpoint, merged)]
print(json.dumps({"import_s": import_s, "answers": answers}))
"""


def test_the_library_does_what_the_commands_do(tmp_path: Path) -> None:
    done = run_python(["-c", LIBRARY_USE], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    base, tuned, merged = found["answers"]
    assert "芥子" in base
    assert "扁仓" in tuned
    assert merged == tuned
    assert found["import_s"] < 0.1
