"""Conversation → the text that generation starts from and the text that is to be learnt.

Chat templates differ in everything: some drop earlier thinking, some add an empty think block,
some refuse system messages, some inject one. So nothing is assumed about them: an answer is found
by rendering the conversation with a marker in its place, and every real render is compared with
what was found. What does not agree is a TemplateError, never a guess.

What a row's ``thinking`` means for a model that can think:
  - some text: it is learnt with the answer, after the prompt of the thinking mode;
  - none: the answer is learnt after the *non-thinking* prompt. The empty think block that the
    template (or, where it has no such mode, this module) puts there is context, never learnt;
  - with ``enable_thinking=False`` the thinking text of rows is left out.
A model without a place for thinking in its template gets ``<think>…</think>`` before the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from selfcog.errors import TemplateError
from selfcog.tokens.template import ChatTemplate
from selfcog.types import Message

ANSWER_MARK = "qZanswerXmarkZq"
THINKING_MARK = "qZthinkingXmarkZq"
USER_MARK = "qZuserXmarkZq"
SYSTEM_MARK = "qZsystemXmarkZq"
OPEN_THINK = re.compile(r"<think>\s*\Z")
INLINE_THINK = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
THINK_OPEN, THINK_CLOSE = "<think>\n", "\n</think>\n\n"
PROBE = (Message("user", USER_MARK),)


@dataclass(frozen=True, slots=True)
class Turn:
    """One assistant turn as the model meets it.

    ``prompt`` is the text generation starts from; ``context`` follows it unlearnt (an empty think
    block, a channel name; mostly empty); ``target`` is learnt: the answer with its thinking, if
    any, and the end of the turn.
    """

    index: int
    prompt: str
    context: str
    target: str

    @property
    def text(self) -> str:
        return self.prompt + self.context + self.target


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the template writes around an answer: ``prompt`` + before + answer + after.

    With thinking, ``before`` is split around it. ``cut`` is an open think tag at the end of the
    prompt that the template leaves out of finished turns. ``has_thinking`` is False when the
    template has no place for it.
    """

    before: str
    middle: str
    after: str
    cut: str = ""
    has_thinking: bool = False


class TurnReader:
    """Finds the turns of conversations in one template.

    ``added_tokens`` are the texts that the tokenizer knows as single tokens (end tokens are among
    them); ``eos`` is its end token. Raises TemplateError when not even a plain question and
    answer can be rendered.
    """

    def __init__(
        self,
        template: ChatTemplate,
        *,
        added_tokens: frozenset[str],
        eos: str | None,
        system: str | None = None,
        enable_thinking: bool | None = None,
    ) -> None:
        self._template = template
        self._added_tokens = added_tokens
        self._eos = eos
        self._system = system
        self.enable_thinking = enable_thinking
        self._frames: dict[tuple[bool | None, bool], _Frame] = {}
        self._header = ""
        self._folds_system = False
        self._as_parts, self._needs_system = self._probe_shape()
        self._folds_system = self._probe_folding()
        self._has_switch = self._prompt(PROBE, True) != self._prompt(PROBE, False)
        self._header = self._probe_header()
        self._next_marker = self._probe_next_marker()
        plain = self._frame(PROBE, self._mode(""), with_thinking=False)
        self.end = self._end_of(plain.after)

    def prepare(self, messages: Sequence[Message]) -> list[Message]:
        """The messages that are rendered: the run's system prompt, thinking apart from answers."""
        prepared = [self._split_thinking(message) for message in messages]
        if self._system is not None and not any(item.role == "system" for item in prepared):
            prepared.insert(0, Message("system", self._system))
        return prepared

    def prompt(self, messages: Sequence[Message], thinking: bool | None) -> str:
        """The text that generation starts from, after prepared ``messages``."""
        return self._prompt(messages, thinking)

    def read_turn(self, messages: Sequence[Message], index: int) -> Turn:
        """The assistant turn ``index`` of prepared ``messages``, after those before it.

        Raises TemplateError when the template changes the answer or its place cannot be told.
        """
        message = messages[index]
        history = messages[:index]
        thinking = (message.thinking or "").strip()
        mode = self._mode(thinking)
        prompt = self._prompt(history, mode)
        frame = self._frames.get((mode, bool(thinking)))
        found = None if frame is None else self._match(frame, prompt, history, message, mode)
        if frame is None or found is None:
            frame = self._frame(history, mode, with_thinking=bool(thinking))
            self._frames[mode, bool(thinking)] = frame
            found = self._match(frame, prompt, history, message, mode)
        if found is None:
            raise TemplateError("the chat template changes the answer, so it cannot be located")
        end = self._end_of(frame.after)
        for token in (end.strip(), self._eos):
            if token and token in found:
                raise TemplateError(f"the answer contains the end-of-turn token {token}")
        return self._make_turn(index, prompt, frame, thinking, found, end)

    def default_system(self) -> str | None:
        """The system text that the template adds to conversations without a system message."""
        if self._folds_system or self._needs_system:
            return None
        with_system = self._text([Message("system", SYSTEM_MARK), *PROBE])
        before, _, after = with_system.partition(SYSTEM_MARK)
        without = self._text(PROBE)
        if not (without.startswith(before) and without.endswith(after)):
            return None
        return without[len(before) : len(without) - len(after)] or None

    # How a target is put together

    def _make_turn(
        self, index: int, prompt: str, frame: _Frame, thinking: str, answer: str, end: str
    ) -> Turn:
        if thinking and frame.has_thinking:
            target = frame.before + thinking + frame.middle + answer
            return Turn(index, prompt, "", target + end)
        if thinking and frame.before.strip():
            raise TemplateError("the chat template has no place for the row's thinking text")
        if thinking:
            # The usual tags, unless the prompt has opened them already.
            opening = frame.before if OPEN_THINK.search(prompt) else frame.before + THINK_OPEN
            return Turn(index, prompt, "", opening + thinking + THINK_CLOSE + answer + end)
        if frame.cut:
            return Turn(index, prompt, THINK_CLOSE, answer + end)
        if frame.before.strip():
            return Turn(index, prompt, frame.before, answer + end)
        # Blanks between prompt and answer are generated along with the answer.
        return Turn(index, prompt, "", frame.before + answer + end)

    def _match(
        self,
        frame: _Frame,
        prompt: str,
        history: Sequence[Message],
        message: Message,
        mode: bool | None,
    ) -> str | None:
        """The answer as the template writes it, if the real render has this frame."""
        thinking = (message.thinking or "").strip() if frame.has_thinking else ""
        shown = replace(message, thinking=thinking or None)
        rendered = self._text([*history, shown], mode)
        head = prompt.removesuffix(frame.cut) + frame.before + thinking + frame.middle
        if not rendered.startswith(head) or not rendered.endswith(frame.after):
            return None
        answer = rendered[len(head) : len(rendered) - len(frame.after)]
        text = message.content
        # Templates trim; anything else would be another answer.
        trimmed = (text, text.strip(), text.lstrip("\n"), text.lstrip(), text.rstrip())
        return answer if answer in trimmed else None

    def _frame(
        self, history: Sequence[Message], mode: bool | None, *, with_thinking: bool
    ) -> _Frame:
        """What surrounds an answer after ``history``, found by rendering markers."""
        prompt = self._prompt(history, mode)
        mark = Message("assistant", ANSWER_MARK, thinking=THINKING_MARK if with_thinking else None)
        text = self._text([*history, mark], mode)
        if text.count(ANSWER_MARK) != 1:
            raise TemplateError("the chat template does not show an assistant's answer once")
        head, _, after = text.partition(ANSWER_MARK)
        if with_thinking and head.count(THINKING_MARK) == 1 and head.startswith(prompt):
            before, _, middle = head[len(prompt) :].partition(THINKING_MARK)
            return _Frame(before, middle, after, has_thinking=True)
        if with_thinking:
            return self._frame(history, mode, with_thinking=False)
        if head.startswith(prompt):
            return _Frame(head[len(prompt) :], "", after)
        opened = OPEN_THINK.search(prompt)
        if opened and head == prompt[: opened.start()]:
            return _Frame("", "", after, cut=opened.group())
        raise TemplateError(
            "the chat template writes a finished answer after another text than the prompt that "
            f"generation starts from: {head[-40:]!r} against {prompt[-40:]!r}"
        )

    def _end_of(self, after: str) -> str:
        """The learnt part of what follows an answer: blanks and end token(s), nothing beyond."""
        match = re.match(r"\s*\S+", after)
        end = match.group() if match else ""
        if any(token in end for token in self._added_tokens):
            return end
        if end.strip() and not end[0].isspace():
            return end + self._need_eos()  # an end in ordinary tokens stops no generation
        if self._next_marker in self._added_tokens:
            return self._next_marker
        return self._need_eos()

    def _need_eos(self) -> str:
        if not self._eos:
            raise TemplateError(
                "the chat template puts no end token after an answer, and the tokenizer has none"
            )
        return self._eos

    # Rendering

    def _mode(self, thinking: str) -> bool | None:
        if not self._has_switch:
            return self.enable_thinking
        return bool(thinking)

    def _prompt(self, messages: Sequence[Message], mode: bool | None) -> str:
        return self._text(messages, mode, prompt=True) + self._header

    def _text(
        self, messages: Sequence[Message], mode: bool | None = None, *, prompt: bool = False
    ) -> str:
        rows = [self._as_mapping(message) for message in self._place_system(messages)]
        return self._template.render(rows, add_generation_prompt=prompt, thinking=mode)

    def _place_system(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Templates that refuse or ignore a system message get it in front of the first question.

        Templates that fail without one get an empty one.
        """
        first = messages[0] if messages else None
        if first is None or first.role != "system":
            return [Message("system", ""), *messages] if self._needs_system else messages
        if not self._folds_system:
            return messages
        rest = list(messages[1:])
        if first.content and rest and rest[0].role == "user":
            rest[0] = replace(rest[0], content=f"{first.content}\n\n{rest[0].content}")
        elif first.content:
            raise TemplateError("the chat template takes no system message and no question follows")
        return rest

    def _as_mapping(self, message: Message) -> dict[str, Any]:
        content: Any = message.content
        if self._as_parts:
            content = [{"type": "text", "text": message.content}]
        row = {"role": message.role, "content": content}
        if message.thinking:
            row["reasoning_content"] = row["thinking"] = message.thinking
        return row

    def _split_thinking(self, message: Message) -> Message:
        if message.role != "assistant":
            return message
        if message.thinking is None and (match := INLINE_THINK.match(message.content)):
            rest = message.content[match.end() :]
            message = replace(message, content=rest, thinking=match.group(1).strip())
        if self.enable_thinking is False:
            message = replace(message, thinking=None)
        return message

    # Learning about the template, once

    def _probe_shape(self) -> tuple[bool, bool]:
        """Whether contents must be lists of parts, as templates of vision models want them, and
        whether the template cannot do without a system message."""
        first_error = ""
        for self._as_parts, self._needs_system in product((False, True), repeat=2):
            try:
                text = self._text([*PROBE, Message("assistant", ANSWER_MARK)])
            except TemplateError as error:
                first_error = first_error or str(error)
                continue
            if USER_MARK in text and ANSWER_MARK in text:
                return self._as_parts, self._needs_system
        reason = first_error or "it leaves out the question or the answer"
        raise TemplateError(f"the chat template cannot render a question and an answer: {reason}")

    def _probe_folding(self) -> bool:
        try:
            text = self._template.render(
                [self._as_mapping(Message("system", SYSTEM_MARK)), self._as_mapping(PROBE[0])]
            )
        except TemplateError:
            return True
        return SYSTEM_MARK not in text

    def _probe_header(self) -> str:
        """The answer's header, for templates that know no ``add_generation_prompt``."""
        if self._text(PROBE) != self._text(PROBE, prompt=True):
            return ""
        before = self._frame(PROBE, None, with_thinking=False).before
        return before if before.strip() else ""

    def _probe_next_marker(self) -> str:
        """What opens the next question: the end of an answer in templates that have no other."""
        question = Message("user", SYSTEM_MARK)
        text = self._text([*PROBE, Message("assistant", ANSWER_MARK), question])
        match = re.match(r"\S+", text.partition(ANSWER_MARK)[2])
        return match.group() if match else ""
