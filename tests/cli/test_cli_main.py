"""``selfcog.cli.main`` in the process: what it hands to a command, and exit codes."""

from __future__ import annotations

import io
import os
import sys
from types import ModuleType

import pytest

from selfcog import cli
from selfcog.config.load import Parsed
from selfcog.config.schema import ExportConfig
from selfcog.errors import ConfigError, DataError, Interrupted

EXPORT = ["export", "--merge_lora", "true", "--ckpt_dir", "c"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for selfcog.commands.export that records what it is given and may raise."""
    module = ModuleType("selfcog.commands.export")
    module.parsed = None  # type: ignore[attr-defined]
    module.error = None  # type: ignore[attr-defined]

    def main(parsed: Parsed[ExportConfig]) -> int:
        module.parsed = parsed  # type: ignore[attr-defined]
        if module.error is not None:
            raise module.error
        return 0

    module.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "selfcog.commands.export", module)
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("SELFCOG_DEBUG", "")
    return module


def test_merge_lora_is_an_export(command: ModuleType) -> None:
    for verb in ("merge-lora", "merge_lora"):
        assert cli.main([verb, "--ckpt_dir", "c"]) == 0
        assert command.parsed.words == ["--ckpt_dir", "c", "--merge_lora", "true"]
        assert command.parsed.config.merge_lora
    for given in (
        ["--ckpt_dir", "c", "--merge_lora", "true"],
        ["--ckpt_dir=c", "--merge-lora=true"],
    ):
        assert cli.main(["merge-lora", *given]) == 0
        assert command.parsed.words == given


def test_interview_takes_the_model_without_its_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(cli, "run_verb", lambda *words: given.append(words) or 0)
    for words in (["some/model", "--max_new_tokens", "8"], ["a.yaml"], ["--model", "m"], []):
        assert cli.main(["interview", *words]) == 0
    assert given == [
        ("interview", ["--model", "some/model", "--max_new_tokens", "8"]),
        ("interview", ["a.yaml"]),
        ("interview", ["--model", "m"]),
        ("interview", []),
    ]


def test_debug_is_taken_out_and_passed_on(command: ModuleType) -> None:
    assert cli.main([*EXPORT, "--debug"]) == 0
    assert command.parsed.words == EXPORT[1:]
    assert os.environ["SELFCOG_DEBUG"] == "1"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("bad flag"), 2, "selfcog: error: bad flag\n"),
        (DataError("two\nlines"), 1, "selfcog: error: two lines\n"),
        (Interrupted("stopped by SIGTERM", 15), 143, "selfcog: error: stopped by SIGTERM\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "Permission denied: '/x'\n"),
        (KeyboardInterrupt(), 130, "selfcog: interrupted\n"),
        (EOFError(), 1, "selfcog: error: the input ended"),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_exit_codes(
    command: ModuleType,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    command.error = error  # type: ignore[attr-defined]
    assert cli.main(EXPORT) == code
    stderr = capsys.readouterr().err
    assert message in stderr
    assert stderr.count("\n") == bool(message)


def test_a_bug_keeps_its_trace(command: ModuleType) -> None:
    command.error = RuntimeError("a fault of the program")  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="a fault"):
        cli.main(EXPORT)


def test_red_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("SELFCOG_DEBUG", "")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main(["sfy"]) == 2
    assert terminal.getvalue().startswith("selfcog: \x1b[1;31merror:\x1b[0m unknown verb sfy")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.truncate(0)
    terminal.seek(0)
    assert cli.main(["sfy"]) == 2
    assert "\x1b" not in terminal.getvalue()
