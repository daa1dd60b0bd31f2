"""The terminal chat: through a pipe, and on a pseudo-terminal with Ctrl-C and Ctrl-D."""

from __future__ import annotations

import codecs
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from selfcog.cli import run_verb

SHORT = ["--max_new_tokens", "8", "--temperature", "0"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(line: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in line["messages"]]


class Talk:
    """What a chat over a pipe printed and wrote."""

    def __init__(self, out: str, err: str, lines: list[dict[str, Any]]) -> None:
        self.out, self.err, self.lines = out, err, lines
        self.answers = [line["messages"][-1]["content"] for line in lines]


@pytest.fixture
def talk(run: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def go(text: str, *flags: str) -> Talk:
        result = tmp_path / f"{time.monotonic_ns()}.jsonl"
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        argv = ["--ckpt_dir", str(run.checkpoint), "--result_path", str(result), *SHORT, *flags]
        assert run_verb("infer", argv) == 0
        said = capsys.readouterr()
        return Talk(said.out, said.err, read_lines(result) if result.exists() else [])

    return go


def test_history_grows_until_it_is_cleared(talk: Any) -> None:
    chat = talk("Hi\n你是谁？\n\nclear\nHi\nexit\nnever read\n")
    first, second, third = chat.lines
    assert contents(second)[:2] == contents(first)
    assert contents(second)[2] == ("user", "你是谁？")
    assert contents(third) == contents(first)
    assert chat.out == "".join(f"{answer}\n" for answer in chat.answers)
    assert "history cleared" in chat.err
    assert "<<<" not in chat.out + chat.err
    alone = talk("你是谁？\n")  # the end of the input is as good as exit
    assert alone.answers[0] != chat.answers[1]  # the model did see the history


def test_reset_system_replaces_the_prompt_and_clears(talk: Any) -> None:
    chat = talk("Hi\nreset-system\n你是医生。\nHi\nHi\nRESET-SYSTEM\n\nHi\nquit\n")
    first, second, third, fourth = chat.lines
    assert contents(first)[0] == ("user", "Hi")
    assert contents(second)[:2] == [("system", "你是医生。"), ("user", "Hi")]
    assert contents(third)[:3] == contents(second)
    assert contents(fourth)[:2] == [("system", ""), ("user", "Hi")]
    assert len({chat.answers[0], chat.answers[1], chat.answers[3]}) == 3
    assert first["system"] == "Be brief."
    assert "history cleared" in chat.err


def test_a_question_of_several_lines(talk: Any) -> None:
    chat = talk("multi-line\none\nexit\n #\ntwo\n#\nclear\nsingle-line\nthree\nmulti-line\nfour")
    asked = [contents(line)[-2][1] for line in chat.lines]
    assert asked == ["one\nexit", "two", "three", "four"]
    assert len(chat.lines[2]["messages"]) == 2


def test_bytes_that_are_not_utf8_do_no_harm(talk: Any) -> None:
    chat = talk("a\udcffb\n")
    assert contents(chat.lines[0])[0] == ("user", "a?b")


def test_compare_keeps_a_history_for_each_side(talk: Any) -> None:
    chat = talk("Hi\n你是谁？\n", "--compare")
    assert re.fullmatch(r"(\[base\] .*\n\[tuned\] .*\n){2}", chat.out, re.DOTALL)
    assert all(line["base_response"] != line["messages"][-1]["content"] for line in chat.lines)
    assert chat.answers == talk("Hi\n你是谁？\n").answers


def test_compare_in_two_columns_where_there_is_room(run: Any) -> None:
    from rich.console import Console

    from selfcog.commands.chat_ui import compare
    from selfcog.commands.talk import load_talker, locate
    from selfcog.config.schema import InferConfig
    from selfcog.types import Message

    config = InferConfig(
        ckpt_dir=str(run.checkpoint), compare=True, temperature=0, max_new_tokens=8
    )
    talker = load_talker(config, locate(config))
    asked = {"base": [Message("user", "Hi")], "tuned": [Message("user", "Hi")]}

    def show(width: int) -> tuple[str, dict[Any, Any]]:
        out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        found = compare(talker, asked, out)
        return out.file.getvalue(), found  # type: ignore[attr-defined]

    wide, answers = show(120)
    narrow, again = show(60)
    assert answers == again
    assert re.search(r"┃ base +┃ tuned +┃", wide)
    assert narrow == f"[base] {answers['base'].text}\n[tuned] {answers['tuned'].text}\n"


def test_a_pipe_in_a_process_of_its_own(run: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "selfcog", "infer", "--ckpt_dir", str(run.checkpoint), *SHORT],
        input="Hi\nclear\nHi\nreset-system\nX\nmulti-line\na\nb\n#\nexit\n",
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = (run.checkpoint / "infer_result").glob("*.jsonl")
    assert f"transcript: {path}" in done.stderr
    lines = read_lines(path)
    assert [contents(line)[-2][1] for line in lines] == ["Hi", "Hi", "a\nb"]
    answers = [line["messages"][-1]["content"] for line in lines]
    assert done.stdout == "".join(f"{answer}\n" for answer in answers)
    assert answers[0] == answers[1]


class Terminal:
    """A process on a pseudo-terminal of 120 columns."""

    def __init__(self, *argv: str) -> None:
        self.master, slave = pty.openpty()
        environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm", "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "selfcog", *argv],
            stdin=slave, stdout=slave, stderr=slave, env=environment,
            start_new_session=True, preexec_fn=_take_terminal,
        )  # fmt: skip
        os.close(slave)
        self.seen = ""
        # A read may end within a character.
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def wait_for(self, text: str, timeout_s: float = 120) -> str:
        """What came up to and with ``text``; fails when it does not come."""
        end_s = time.monotonic() + timeout_s
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end_s - time.monotonic()))
            assert ready, f"{text!r} did not come; seen: {self.seen!r}"
            try:
                self.seen += self.decoder.decode(os.read(self.master, 4096))
            except OSError:  # the other end is closed
                assert text in self.seen, f"{text!r} did not come; seen: {self.seen!r}"
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def wait_for_output(self) -> None:
        while len(self.seen.strip()) < 3:
            ready, _, _ = select.select([self.master], [], [], 60)
            assert ready, "no answer came"
            self.seen += self.decoder.decode(os.read(self.master, 4096))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


def _take_terminal() -> None:
    import fcntl
    import termios

    # So that Ctrl-C typed there becomes a signal for this process.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_on_a_terminal(run: Any) -> None:
    terminal = Terminal(
        "infer", "--ckpt_dir", str(run.checkpoint), "--temperature", "0",
        "--max_new_tokens", "700", "--compare", "false",
    )  # fmt: skip
    try:
        header = terminal.wait_for("<<< ")
        assert f"adapter: {run.checkpoint}" in header
        assert "system:  Be brief." in header
        terminal.type("你是谁？\n")
        terminal.wait_for("你是谁？")
        terminal.wait_for_output()  # some of the 700 tokens
        terminal.type("\x03")
        terminal.wait_for("[stopped]")
        terminal.wait_for("<<< ")
        terminal.type("multi-line\n")
        terminal.wait_for("<<<[M] ")
        terminal.type("single-line\nclear\n")
        terminal.wait_for("history cleared")
        terminal.wait_for("<<< ")
        terminal.type("\x04")
        terminal.wait_for("transcript: ")
        assert terminal.process.wait(timeout=30) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)
    (path,) = (run.checkpoint / "infer_result").glob("*.jsonl")
    (line,) = read_lines(path)
    assert line["finish_reason"] == "length"
    assert 0 < line["num_tokens"] < 700
