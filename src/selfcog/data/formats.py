"""One row, in whatever shape → Example.

The shape is found from the columns, whatever their case, in this order:

1. a chat column (``messages``, ``conversations``, ``conversation``, …) that holds a list of turns
2. Alpaca: ``instruction`` with ``input``; the question is both, joined by a line end
3. a question and an answer column under any of their usual names; ``prompt`` and ``completion``
   may also be lists of messages

With 2 and 3 go ``history`` (pairs or turns, also as text), ``system``, ``reasoning_content``.
All assistant turns are trained, those of a history too; not those inside a ``prompt`` list.

The system message is a column, the first message, absent (null) or empty (""). A column that is
empty gives way to a first message; two different texts are an error. CSV has no empty text: an
empty cell is absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from selfcog.data.check import check_conversation, check_prompt
from selfcog.data.columns import TOOLS, Layout, check_mapping, detect, explain_columns
from selfcog.data.rows import RawRow, RowError
from selfcog.data.turns import as_text, describe, make_message, parse_turns
from selfcog.types import Example, Message

_LANGUAGE_NAMES = {
    "zh": "zh", "cn": "zh", "zh-cn": "zh", "zh_cn": "zh", "chinese": "zh", "中文": "zh",
    "en": "en", "en-us": "en", "english": "en", "英文": "en", "英语": "en",
}  # fmt: skip
_HAN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# Cyrillic, Hebrew to Arabic, Indic, Thai, kana, Hangul
_OTHER_SCRIPTS = re.compile(
    "[\u0400-\u052f\u0590-\u08ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\uac00-\ud7af]"
)
_LATIN_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that ends with the user. ``reference``: the answer that the file gives."""

    messages: tuple[Message, ...]
    reference: str | None = None
    source: str = ""
    line: int = 0


def to_example(
    raw: RawRow,
    *,
    columns: Mapping[str, str] | None = None,
    kind: str = "domain",
    system: str | None = None,
    strict: bool = True,
) -> Example:
    """The conversation of one row; see ``RowParser``.

    Raises:
        RowError: why the row cannot be used. DataError: ``columns`` names an unknown meaning.
    """
    return RowParser(columns, kind=kind, system=system, strict=strict).parse(raw)


def detect_language(text: str) -> str:
    """ "zh", "en" or "other", from the scripts in the first 100 characters.

    Text in both scripts is Chinese unless Latin words outnumber the Chinese characters 2 to 1.
    """
    head = text[:100]
    if head.isascii():
        return "en" if _LATIN_WORD.search(head) else "other"
    num_han = len(_HAN.findall(head))
    if num_han * 2 > len(head):
        return "zh"
    num_words = len(_LATIN_WORD.findall(head))
    if len(_OTHER_SCRIPTS.findall(head)) > max(num_han // 4, num_words):
        return "other"
    if num_han * 2 >= max(num_words, 1):
        return "zh"
    return "en" if num_words else "other"


class RowParser:
    """Turns rows of any shape into conversations; one for each file, so that it knows its shapes.

    ``columns`` maps a column of the file to a meaning (any usual name of it). ``system`` goes into
    rows that have no system message. ``strict`` as in ``check_conversation``.
    """

    def __init__(
        self,
        columns: Mapping[str, str] | None = None,
        *,
        kind: str = "domain",
        system: str | None = None,
        strict: bool = True,
    ) -> None:
        self._mapping = check_mapping(columns or {})
        self._kind = kind
        self._system = None if system is None else Message("system", system)
        self._strict = strict
        self.layouts: dict[tuple[str, ...], Layout] = {}
        """The layouts met so far, by columns."""

    def parse(self, raw: RawRow) -> Example:
        """The example of one row, checked.

        Raises:
            RowError: why it cannot be used; ColumnError when a column is missing.
        """
        layout = self._layout(raw.row)
        messages = self._messages(raw.row, layout, need_answer=True)
        check_conversation(messages, strict=self._strict)
        language = ""
        if layout.language is not None:
            word = raw.row[layout.language]
            language = _LANGUAGE_NAMES.get(word.strip().lower(), "") if type(word) is str else ""
        return Example(
            tuple(messages),
            self._kind,
            raw.source,
            raw.line,
            language or detect_language(messages[-1].content),
        )

    def parse_question(self, raw: RawRow) -> Question:
        """The same without an answer, or with the answer set aside as the reference."""
        messages = self._messages(raw.row, self._layout(raw.row), need_answer=False)
        reference = None
        if messages and messages[-1].role == "assistant":
            reference = messages.pop().content
        check_prompt(messages, strict=self._strict)
        if not messages or messages[-1].role != "user":
            raise RowError("no question")
        return Question(tuple(messages), reference, raw.source, raw.line)

    def _layout(self, row: Mapping[str, Any]) -> Layout:
        columns = tuple(row)
        layout = self.layouts.get(columns)
        if layout is None:
            layout = self.layouts[columns] = detect(columns, self._mapping)
        return layout

    def _messages(
        self, row: Mapping[str, Any], layout: Layout, *, need_answer: bool
    ) -> list[Message]:
        for column in layout.unsupported:
            if _is_given(row[column]):
                tools = column.lower() in TOOLS
                what = "tool definitions are not supported" if tools else "only text is supported"
                raise RowError(f"column '{column}': {what}")
        messages = _read_chat(row, layout)
        if messages is None:
            messages = _read_pair(row, layout, need_answer)
        return _place_system(messages, row, layout, self._system)


def _is_given(value: Any) -> bool:
    return value not in (None, "", "[]", "{}", [], {}) and value == value


def _read_chat(row: Mapping[str, Any], layout: Layout) -> list[Message] | None:
    for column in layout.chats:
        value = row[column]
        if (type(value) is list and value) or (type(value) is str and value.lstrip()[:1] == "["):
            if layout.history is not None and _is_given(row[layout.history]):
                raise RowError(f"both '{column}' and '{layout.history}' hold turns; keep one")
            return parse_turns(value, column)
    if layout.chats and not (layout.questions and layout.answers):
        column = layout.chats[0]
        value = row[column]
        if not value:
            raise RowError(f"no turns: column '{column}' is {'null' if value is None else 'empty'}")
        raise RowError(f"column '{column}' is not a list of turns but {describe(value)}")
    return None


def _read_pair(row: Mapping[str, Any], layout: Layout, need_answer: bool) -> list[Message]:
    if not layout.questions or (need_answer and not layout.answers):
        raise explain_columns(layout, need_answer)
    messages = [] if layout.history is None else parse_turns(row[layout.history], layout.history)
    column, value = _first_given(row, layout.questions)
    if type(value) is list and value and type(value[0]) is dict:
        # What leads up to a completion is context.
        messages += [
            replace(turn, train=False) if turn.role == "assistant" else turn
            for turn in parse_turns(value, column)
        ]
    else:
        question = as_text(value, f"column '{column}'") or ""
        if layout.extra is not None and layout.extra != column:
            extra = as_text(row[layout.extra], f"column '{layout.extra}'")
            if extra and not extra.isspace():
                question = f"{question}\n{extra}" if question else extra
        messages.append(Message("user", question))
    if not layout.answers:
        return messages
    column, value = _first_given(row, layout.answers)
    if type(value) is list and value and type(value[0]) is dict:
        return messages + parse_turns(value, column)
    answer = as_text(value, f"column '{column}'")
    if answer is None:
        if need_answer:
            raise RowError(f"null answer (column '{column}')")
        return messages
    thinking = None
    if layout.reasoning is not None:
        thinking = as_text(row[layout.reasoning], f"column '{layout.reasoning}'")
    messages.append(make_message("assistant", answer, thinking))
    return messages


def _first_given(row: Mapping[str, Any], columns: tuple[str, ...]) -> tuple[str, Any]:
    for column in columns:
        value = row[column]
        if value is not None and value == value:
            return column, value
    return columns[0], None


def _place_system(
    messages: list[Message], row: Mapping[str, Any], layout: Layout, default: Message | None
) -> list[Message]:
    """Puts the system text of the column, else the default, first, unless a message is there."""
    text = None
    if layout.system is not None:
        text = as_text(row[layout.system], f"column '{layout.system}'")
    if messages and messages[0].role == "system":
        if text and not text.isspace() and text != messages[0].content:
            raise RowError(f"two system texts: column '{layout.system}' and the first message")
        return messages
    if text is not None:
        return [Message("system", text), *messages]
    return messages if default is None else [default, *messages]
