"""The terminal chat: reads lines, knows the commands, shows answers as they are written.

On a pipe there are no prompts: every line is a question, answers go to stdout and everything else
to stderr, so that ``printf '你是谁?\\n' | selfcog infer …`` prints an answer and nothing more.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from selfcog.commands.talk import Side, Talker, Transcript, parts_of, with_answer
from selfcog.console import make_console
from selfcog.errors import SelfcogError
from selfcog.types import Completion, Message

if TYPE_CHECKING:
    from rich.console import Console

LEAVE = ("exit", "quit")
CLEAR, RESET_SYSTEM, MULTI_LINE, SINGLE_LINE = "clear", "reset-system", "multi-line", "single-line"
END_OF_BLOCK = "#"
# Narrower than this, two answers side by side are hard to read.
WIDE_COLUMNS = 100


class LineReader:
    """Lines of a terminal (with prompts, editing and history) or of a pipe (without)."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdin.isatty()
        if self.is_terminal:
            with contextlib.suppress(ImportError):  # not part of every Python
                import readline  # noqa: F401  (input() uses it once it is there)

    def read(self, prompt: str) -> str | None:
        """One line without its end; None when there are no more."""
        if self.is_terminal:
            try:
                line = input(prompt)
            except EOFError:
                return None
        else:
            line = sys.stdin.readline()
            if not line:
                return None
        # Bytes that are not UTF-8 come as lone surrogates, which no tokenizer takes.
        return line.rstrip("\r\n").encode("utf-8", "replace").decode()


class Chat:
    """One conversation. In ``compare`` mode there are two: each model sees its own answers."""

    def __init__(self, talker: Talker, transcript: Transcript, reader: LineReader) -> None:
        self.talker = talker
        self.transcript = transcript
        self.reader = reader
        self.sides: tuple[Side, ...] = ("base", "tuned") if talker.config.compare else ("tuned",)
        self.system: Message | None = None
        self.histories: dict[Side, list[Message]] = {}
        self.is_multi_line = False
        self.out = make_console()
        self.info = self.out if reader.is_terminal else make_console(stderr=True)
        self.clear()

    def clear(self) -> None:
        first = [self.system] if self.system is not None else []
        self.histories = {side: list(first) for side in self.sides}

    def run(self) -> None:
        """Until exit, the end of the input, or Ctrl-C at the prompt of a terminal."""
        self.show_header()
        while True:
            try:
                text = self.read_question()
            except KeyboardInterrupt:
                if not self.reader.is_terminal:
                    raise
                text = None
            if text is None or text.strip().lower() in LEAVE:
                break
            if text.strip() and not self.obey(text.strip().lower()):
                self.try_answer(text)
        if self.reader.is_terminal:
            self.info.print()
        if self.transcript.path is not None and self.transcript.path.is_file():
            self.say(f"transcript: {self.transcript.path}")

    def read_question(self) -> str | None:
        """One question or command; None at the end of the input."""
        prompt = "<<<[M] " if self.is_multi_line else "<<< "
        line = self.reader.read(prompt)
        if line is None or not self.is_multi_line or is_command(line):
            return line
        lines = []
        while line is not None and line.strip() != END_OF_BLOCK:
            lines.append(line)
            line = self.reader.read("... ")
        return "\n".join(lines) if lines or line is not None else None

    def obey(self, command: str) -> bool:
        """Do what a command says; False if it is none."""
        if command == CLEAR:
            self.clear()
            self.say("history cleared")
        elif command == MULTI_LINE:
            self.is_multi_line = True
            self.say(f"several lines make a question; end it with a line {END_OF_BLOCK}")
        elif command == SINGLE_LINE:
            self.is_multi_line = False
            self.say("every line is a question")
        elif command == RESET_SYSTEM:
            text = self.reader.read("<<<[S] ")
            if text is not None:
                self.system = Message("system", text.strip())
                self.clear()
                self.say(
                    "new system prompt, history cleared"
                    if text.strip()
                    else "empty system prompt, history cleared"
                )
        else:
            return False
        return True

    def try_answer(self, text: str) -> None:
        """On a terminal the chat goes on after an interruption, or a history that is too long."""
        try:
            self.answer(text)
        except (KeyboardInterrupt, SelfcogError) as error:
            if not self.reader.is_terminal:
                raise
            self.out.print()
            self.say(str(error) or "stopped; the question is forgotten")

    def answer(self, text: str) -> None:
        question = Message("user", text)
        asked = {side: [*self.histories[side], question] for side in self.sides}
        completions: dict[Side, Completion]
        if len(self.sides) == 2:
            completions = compare(self.talker, asked, self.out)
        else:
            stoppable = self.reader.is_terminal
            answer = show_answer(self.talker, asked["tuned"], self.out, stoppable=stoppable)
            completions = {"tuned": answer}
        for side in self.sides:
            self.histories[side] = with_answer(asked[side], completions[side])
        extra = {"base_response": completions["base"].text} if "base" in completions else {}
        self.transcript.add(asked["tuned"], completions["tuned"], **extra)

    def say(self, line: str) -> None:
        self.info.print(line, markup=False, style="dim" if self.reader.is_terminal else None)

    def show_header(self) -> None:
        if not self.reader.is_terminal:
            return
        for line in describe(self.talker):
            self.say(line)
        self.say(
            f"commands: {', '.join((CLEAR, RESET_SYSTEM, MULTI_LINE, SINGLE_LINE, *LEAVE))}; "
            "Ctrl-C stops an answer"
        )


def is_command(line: str) -> bool:
    words = (*LEAVE, CLEAR, RESET_SYSTEM, MULTI_LINE, SINGLE_LINE)
    return line.strip().lower() in words


def describe(talker: Talker) -> list[str]:
    """What is loaded, a line each: model, adapter, system prompt."""
    paths = talker.paths
    lines = [f"model:   {paths.name}" + ("" if paths.adapter else f" ({paths.path})")]
    if paths.adapter is not None:
        lines.append(f"adapter: {paths.adapter}")
    system = talker.renderer.system
    default = talker.renderer.default_system()
    if system is not None:
        lines.append(f"system:  {system or '(empty)'}")
    else:
        lines.append(
            f"system:  {f'{default} (the default of the template)' if default else 'none'}"
        )
    return lines


def show_answer(
    talker: Talker,
    messages: list[Message],
    out: Console,
    *,
    answer_only: bool = False,
    stoppable: bool = False,
) -> Completion:
    """Print one answer as it comes, reasoning dimmed.

    ``answer_only`` leaves the reasoning out; ``stoppable``: Ctrl-C ends the answer and keeps what
    there is.
    """
    stream = talker.stream(messages)
    if not talker.config.stream:
        for _ in stream:
            pass
        print_part(out, False, stream.completion.text)
        out.print()
        return stream.completion
    was_thinking = False
    try:
        for is_thinking, text in parts_of(stream):
            if is_thinking and answer_only:
                continue
            if was_thinking and not is_thinking:
                out.print()
            was_thinking = is_thinking
            print_part(out, is_thinking, text)
    except KeyboardInterrupt:
        stream.close()
        if not stoppable:
            raise
        out.print(" [stopped]", markup=False, style="dim", end="")
    out.print()
    return stream.completion


def print_part(out: Console, is_thinking: bool, text: str) -> None:
    out.print(text, markup=False, style="dim" if is_thinking else None, end="")
    out.file.flush()


def compare(
    talker: Talker, asked: dict[Side, list[Message]], out: Console
) -> dict[Side, Completion]:
    """Answers of the base and of the tuned model: in two columns, or one below the other."""
    sides: tuple[Side, ...] = ("base", "tuned")
    found: dict[Side, Completion] = {}
    is_wide = out.is_terminal and out.width >= WIDE_COLUMNS
    for side in sides:
        with talker.side(side):
            if is_wide:
                with out.status(f"{side} …"):
                    found[side] = talker.answer_all([asked[side]])[0]
            else:
                out.print(f"[{side}] ", markup=False, end="")
                found[side] = show_answer(talker, asked[side], out)
    if is_wide:
        show_columns(out, found)
    return found


def show_columns(out: Console, found: dict[Side, Completion]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True, show_lines=False)
    for side in found:
        table.add_column(side, ratio=1, overflow="fold")
    table.add_row(*(Text(completion.text) for completion in found.values()))
    out.print(table, soft_wrap=False)


def ask_once(talker: Talker, transcript: Transcript, questions: Iterable[str]) -> None:
    """Each question by itself; only answers go to stdout."""
    out = make_console()
    for text in questions:
        messages = [Message("user", text)]
        if talker.config.compare:
            found = compare(talker, {"base": messages, "tuned": messages}, out)
            transcript.add(messages, found["tuned"], base_response=found["base"].text)
        else:
            transcript.add(messages, show_answer(talker, messages, out, answer_only=True))
