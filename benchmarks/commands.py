"""The command lines of everything but training: help, errors, merging, the first token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import DRIVERS, OURS, SCRIPT, SWIFT_MODEL

Words = tuple[str, ...]

QUESTION = "你好"
# What is typed at a peer that only chats.
CHAT = f"{QUESTION}\nexit\n"


@dataclass(frozen=True, slots=True)
class Command:
    """``words`` after the interpreter. ``fails``: an exit code other than 0 is what is wanted."""

    peer: str
    name: str
    words: Words
    fails: bool = False
    stdin: str = ""
    made: Path | None = None


CLI = {
    OURS: ("-m", "selfcog"),
    "trl": (SCRIPT, "trl"),
    "swift": (SCRIPT, "swift"),
    "llamafactory": (SCRIPT, "llamafactory-cli"),
}


def quick_commands(model: Path, broken: Path, folder: Path) -> list[Command]:
    """``--help``, a flag that does not exist, and rows that cannot be read."""
    missing = ("--no_such_flag", "1")
    swift: Words = ("sft", "--model", str(model), *SWIFT_MODEL)
    swift += ("--check_model", "false", "--use_cpu", "true")
    ours = ("sft", "--model", str(model))
    rows = ("--dataset", str(broken))
    out = ("--output_dir", str(folder / "quick"))
    strict = ("--check_dataset_strategy", "error")
    return [
        Command(OURS, "help", (*CLI[OURS], "sft", "--help")),
        Command(OURS, "usage error", (*CLI[OURS], *ours, *missing), fails=True),
        Command(OURS, "data error", (*CLI[OURS], *ours, *rows, *strict, *out), fails=True),
        Command("trl", "help", (*CLI["trl"], "sft", "--help")),
        Command("swift", "help", (*CLI["swift"], "sft", "--help")),
        Command("swift", "usage error", (*CLI["swift"], *swift, *rows, *missing), fails=True),
        Command("swift", "data error", (*CLI["swift"], *swift, *rows, *out), fails=True),
        Command("llamafactory", "help", (*CLI["llamafactory"], "train", "--help")),
        Command(
            "llamafactory",
            "usage error",
            # Without a model it would complain of that instead.
            (*CLI["llamafactory"], "train", "--model_name_or_path", str(model), *missing),
            fails=True,
        ),
    ]


def merge_commands(model: Path, adapter: Path, folder: Path) -> list[Command]:
    """Each writes the whole merged model; selfcog with and without its check of the answers."""
    plain, checked = folder / "selfcog", folder / "selfcog-checked"
    hf, swift, factory = folder / "hf", folder / "swift", folder / "llamafactory"
    both = ("--model", str(model), "--adapters", str(adapter))
    ours = (*CLI[OURS], "export", "--merge_lora", "true", *both)
    unchecked = (*ours, "--check_answers", "false", "--output_dir", str(plain))
    script = (str(DRIVERS / "hf_merge.py"), "--model", str(model), "--adapter", str(adapter))
    swift_words: Words = ("export", "--merge_lora", "true", *both, *SWIFT_MODEL)
    swift_words += ("--output_dir", str(swift))
    settings = {
        "model_name_or_path": str(model),
        "adapter_name_or_path": str(adapter),
        "template": "qwen",
        "export_dir": str(factory),
        "export_device": "cpu",
    }
    yaml = write_settings(folder / "llamafactory-export.yaml", settings)
    return [
        Command(OURS, "merge", unchecked, made=plain),
        Command("hf", "merge", (*script, "--output", str(hf)), made=hf),
        Command("swift", "merge", (*CLI["swift"], *swift_words), made=swift),
        Command("llamafactory", "merge", (*CLI["llamafactory"], "export", yaml), made=factory),
        Command(OURS, "merge and check", (*ours, "--output_dir", str(checked)), made=checked),
    ]


def token_commands(model: Path, adapter: Path, question: Path, folder: Path) -> list[Command]:
    """From the start of a process to its end after one token of base and adapter."""
    one = ("--max_new_tokens", "1", "--temperature", "0")
    both = ("--model", str(model), "--adapters", str(adapter))
    ours = (*CLI[OURS], "infer", *both, *one, "--query", QUESTION, "--num_threads", "1")
    result = str(folder / "selfcog-answers.jsonl")
    script = (str(DRIVERS / "hf_token.py"), "--model", str(model), "--adapter", str(adapter))
    swift: Words = (*CLI["swift"], "infer", *both, *SWIFT_MODEL, "--load_args", "false", *one)
    swift += ("--val_dataset", str(question))
    settings = {
        "model_name_or_path": str(model),
        "adapter_name_or_path": str(adapter),
        "template": "qwen",
        "max_new_tokens": 1,
    }
    yaml = write_settings(folder / "llamafactory-chat.yaml", settings)
    chat = (*CLI["llamafactory"], "chat", yaml)
    return [
        Command(OURS, "first token", (*ours, "--result_path", result)),
        Command("hf", "first token", (*script, "--question", QUESTION)),
        Command(
            "swift",
            "first token",
            (*swift, "--result_path", str(folder / "swift-answers.jsonl")),
        ),
        Command("llamafactory", "first token", chat, stdin=CHAT),
    ]


def write_settings(path: Path, settings: Mapping[str, object]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return str(path)
