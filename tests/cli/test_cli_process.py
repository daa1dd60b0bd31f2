"""The command line as a user meets it: real processes, quick answers, one line for an error."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

# Packages that an answer without a model has no use for; each costs 0.02 to 2 s.
HEAVY = (
    *("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors"),
    *("datasets", "pyarrow", "pandas", "numpy", "scipy", "matplotlib", "tensorboard"),
    *("rich", "yaml", "httpx", "requests"),
)
# CPU seconds of the whole process. The bar is 0.3 (make bench); a busy machine takes longer.
MAX_CPU_S = 0.5

# Runs the command line and, at the end, says on stderr which heavy packages were imported, and
# which of selfcog's own that only work with rows or models needs.
WATCH = f"""
import sys
from selfcog.cli import main
code = main(sys.argv[1:])
print("imported:", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
own = {{name.split(".")[1] for name in sys.modules if name.startswith("selfcog.")}}
print("own:", *sorted(own | ({{"pydantic"}} & set(sys.modules))), file=sys.stderr)
sys.exit(code)
"""

SFT = ["sft", "--model", "embedded"]
QUICK = {
    "help": (["--help"], 0, "usage: selfcog VERB"),
    "no words": ([], 0, "usage: selfcog VERB"),
    "version": (["version"], 0, "selfcog "),
    "sft help": (["sft", "--help"], 0, "--learning_rate"),
    "infer help": (["help", "infer"], 0, "--temperature"),
    "export help": (["merge-lora", "-h"], 0, "--merge_lora"),
    "demo help": (["demo", "--help"], 0, "--model_author"),
    "eval help": (["eval", "--help"], 0, "--suite"),
    "interview help": (["interview", "--help"], 0, "--base_url"),
    "sweep help": (["sweep", "--help"], 0, "--sweep_seeds"),
    "unknown verb": (["sfy"], 2, "selfcog: error: unknown verb sfy; did you mean selfcog sft?"),
    "verb of others": (["trian"], 2, "did you mean selfcog sft?"),
    "flag before verb": (["--model", "m"], 2, "--model before a verb"),
    "misspelt flag": (
        [*SFT, "--learning_rat", "1"],
        2,
        "selfcog: error: unknown flag --learning_rat; did you mean --learning_rate?",
    ),
    "bad value": ([*SFT, "--lora_rank", "0"], 2, "--lora_rank 0 is not possible"),
    "no names": ([*SFT, "--self_cognition_sample", "500"], 2, "--model_name"),
    "unusable row": (
        [*SFT, "--dataset", "broken.jsonl", "--check_dataset_strategy", "error"],
        1,
        "broken.jsonl:2: broken JSON",
    ),
    "unusable row beside identity rows": (
        [
            *(*SFT, "--dataset", "broken.jsonl", "--check_dataset_strategy", "error"),
            *("--self_cognition_sample", "500", "--model_name", "小黄", "--model_author", "Lab"),
        ],
        1,
        "broken.jsonl:2: broken JSON",
    ),
    "missing file": ([*SFT, "--dataset", "mising.jsonl"], 1, "mising.jsonl"),
    "missing replay file": (
        [*SFT, "--dataset", "rows.jsonl", "--replay_dataset", "gone.jsonl"],
        1,
        "gone.jsonl",
    ),
    "missing model": (["sft", "--model", "./nowhere", "--dataset", "rows.jsonl"], 1, "nowhere"),
    "missing checkpoint": (["infer", "--ckpt_dir", "./nowhere"], 1, "nowhere"),
    "nothing to export": (["export", "--ckpt_dir", "./nowhere", "--merge_lora"], 1, "nowhere"),
    "nothing to measure": (
        ["eval", "--ckpt_dir", "./nowhere", "--model_name", "小黄", "--model_author", "Lab"],
        1,
        "nowhere",
    ),
    **{
        f"misspelt flag of {verb}": (
            [verb, "--no_such_flag", "1"],
            2,
            "unknown flag --no_such_flag",
        )
        for verb in ("infer", "eval", "interview", "export", "demo", "sweep")
    },
}
# Answered before the settings are read, and from the settings alone: without the verb's own module.
PLAIN = ("help", "no words", "version", "unknown verb", "verb of others", "flag before verb")
USAGE = {case for case, (_, code, _) in QUICK.items() if code == 2}
LEAST = {"cli", "errors", "startup"}
LIGHT = {*LEAST, "config", "pydantic"}


def run(words: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    # Compiled files are kept, as where the package is installed.
    for name in {"RANK", "SELFCOG_DEBUG", "PYTHONDONTWRITEBYTECODE"} - set(environment):
        env.pop(name, None)
    return subprocess.run(
        [sys.executable, "-c", WATCH, *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    row = '{"query": "1 + 1?", "response": "2"}\n'
    (tmp_path / "rows.jsonl").write_text(row * 20)
    (tmp_path / "broken.jsonl").write_text(row + row[:20])
    return tmp_path


@pytest.mark.parametrize("case", QUICK)
def test_quick_answers(case: str, folder: Path) -> None:
    words, code, part = QUICK[case]
    cpu_s = []
    # A busy machine makes a process slower than it is; the best of five tries counts.
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = run(words, folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if cpu_s[-1] <= MAX_CPU_S:
            break
    *errors, imported, own = result.stderr.splitlines()
    assert result.returncode == code
    assert imported == "imported:"
    if code == 0 or case in USAGE:
        assert set(own.split()[1:]) <= (LEAST if case in PLAIN else LIGHT)
    assert part in (result.stdout if code == 0 else result.stderr)
    assert len([line for line in errors if line.startswith("selfcog: error: ")]) == bool(code)
    assert "Traceback" not in result.stderr
    assert min(cpu_s) <= MAX_CPU_S


def test_debug_shows_the_trace(folder: Path) -> None:
    for words, environment in (
        (["--debug", *SFT, "--lora_rank", "0"], {}),
        ([*SFT, "--lora_rank", "0", "--debug"], {}),
        ([*SFT, "--lora_rank", "0"], {"SELFCOG_DEBUG": "1"}),
    ):
        result = run(words, folder, **environment)
        assert result.returncode == 2
        assert "Traceback" in result.stderr
        assert "selfcog: error: --lora_rank 0" in result.stderr


def test_only_rank_0_reports(folder: Path) -> None:
    words = [*SFT, "--lora_rank", "0"]
    assert "selfcog: error: " in run(words, folder, RANK="0").stderr
    silent = run(words, folder, RANK="1")
    assert silent.returncode == 2
    assert silent.stderr.startswith("imported:\n")


def test_the_reader_may_leave(folder: Path) -> None:
    """``selfcog sft --help | head -1`` says nothing on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "selfcog", "sft", "--help"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert stderr == b""


def test_a_terminal_without_chinese_is_served(folder: Path) -> None:
    result = run(["--help"], folder, PYTHONIOENCODING="latin-1")
    assert result.returncode == 0
    assert "--model_name ??" in result.stdout


def test_names_come_through_the_terminal_unchanged(folder: Path) -> None:
    """The whole way by a process: the words that a shell hands over end up in the error."""
    result = run([*SFT, "--system", 'O\'Brien "Q" 小黄', "extra {{x}}"], folder)
    assert "unexpected word extra {{x}} after --system" in result.stderr
