"""Lists of turns in every spelling → messages.

A turn is an object with a role and a text (``role``/``content`` or ``from``/``value``, freely
mixed, whatever the column is called), a question–answer object (``{"human": …, "assistant": …}``),
a question–answer list (``["…", "…"]``), or plain texts in alternation.

Reasoning: ``reasoning_content`` (or ``reasoning``, ``thinking``) of a turn, or a ``<think>`` block
at the very start of an answer, becomes ``Message.thinking``; an empty block becomes "". A
``</think>`` alone on its line ends a block that was never opened (models whose prompt ends in
``<think>`` write so). Any later block is text of the answer. White space around the reasoning and
line ends before the answer are dropped.
"""

from __future__ import annotations

import ast
import json
import math
import numbers
import re
from collections.abc import Mapping
from typing import Any

from selfcog.data.rows import RowError, nearest
from selfcog.types import Message, Role

ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "用户": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "ai": "assistant",
    "chatbot": "assistant",
    "助手": "assistant",
    "system": "system",
    "developer": "system",
}
_TOOL_ROLES = frozenset(
    {"tool", "tools", "tool_call", "tool_calls", "tool_response", "function", "function_call"}
    | {"observation", "ipython", "environment"}
)
_TEXT_KEYS = ("content", "value", "text")
_THINKING_KEYS = ("reasoning_content", "reasoning", "thinking")
_FLAGS = ("loss", "train", "weight")
_TOOL_KEYS = ("tool_calls", "function_call", "tool_call_id")
_USER_KEYS = ("user", "human", "query", "question", "prompt", "instruction", "input")
_ANSWER_KEYS = ("assistant", "gpt", "bot", "model", "response", "answer", "output")
_CLOSED = re.compile(r"^[ \t]*</think>[ \t\r]*$", re.MULTILINE)
_NO_TOOLS = "tool calls are not supported; leave such rows out"


def parse_turns(value: Any, name: str) -> list[Message]:
    """The messages of a chat column or a history, in order. Order and texts are not checked.

    ``name`` is the column, for messages. None and empty text are no turns.

    Raises:
        RowError: not a list, an unknown role, a text that is none, tool calls, a broken flag.
    """
    if isinstance(value, str):
        value = parse_literal(value, name)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise RowError(f"column '{name}' is not a list of turns but {describe(value)}")
    messages: list[Message] = []
    first = value[0] if value else None
    has_system = isinstance(first, dict) and "system" in (first.get("role"), first.get("from"))
    # Turns are counted as the checks count them: without a leading system message.
    for number, turn in enumerate(value, 0 if has_system else 1):
        if isinstance(turn, dict):
            messages.extend(_parse_turn(turn, number))
        elif isinstance(turn, list | tuple):
            if len(turn) != 2:
                raise RowError(f"turn {number} of '{name}' is a list of {len(turn)}, not a pair")
            messages += _make_pair(turn[0], turn[1], number)
        elif isinstance(turn, str) and not any(isinstance(other, dict) for other in value):
            role: Role = "user" if number % 2 else "assistant"
            messages.append(make_message(role, turn, None))
        else:
            raise RowError(f"turn {number} of '{name}' is {describe(turn)}, not an object")
    return messages


def parse_literal(text: str, name: str) -> Any:
    """A list that a table holds as text, in JSON or Python spelling. Empty text is None."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise RowError(f"column '{name}' is text that is not a list of turns") from error


def _parse_turn(turn: Mapping[str, Any], number: int) -> list[Message]:
    raw_role = turn.get("role")
    if raw_role is None:
        raw_role = turn.get("from")
    if raw_role is None:
        return _parse_pair(turn, number)
    role = ROLES.get(raw_role) if type(raw_role) is str else None
    if role is None:
        role = _read_role(raw_role, number)
    content = turn.get("content")
    if content is None:
        content = turn.get("value")
    if len(turn) == 2 and type(content) is str and (role != "assistant" or "think>" not in content):
        return [Message(role, content)]
    for key in _TOOL_KEYS:
        if turn.get(key):
            raise RowError(_NO_TOOLS)
    if content is None:
        content = turn.get("text")
    if content is None and not any(key in turn for key in _TEXT_KEYS):
        close = [nearest(key, _TEXT_KEYS) for key in turn]
        meant = next((f"; did you mean '{key}'?" for key in close if key), "")
        raise RowError(f"turn {number} has no text (no 'content' or 'value'{meant})")
    thinking = next((turn[key] for key in _THINKING_KEYS if turn.get(key) is not None), None)
    text, part_thinking = _read_content(content, f"turn {number}")
    if thinking is None:
        thinking = part_thinking
    elif not isinstance(thinking, str):
        raise RowError(f"the reasoning of turn {number} is {describe(thinking)}, not text")
    if text is None and role == "assistant":
        raise RowError(f"null answer (turn {number})")
    return [make_message(role, text or "", thinking, _read_flag(turn, number))]


def _read_role(value: Any, number: int) -> Role:
    word = value.strip().lower() if isinstance(value, str) else None
    if word is not None and word in ROLES:
        return ROLES[word]
    if word in _TOOL_ROLES:
        raise RowError(_NO_TOOLS)
    close = nearest(word, ROLES) if word else None
    hint = f"did you mean '{close}'?" if close else "known: system, user, assistant, human, gpt"
    raise RowError(f"unknown role {value!r} (turn {number}); {hint}")


def _parse_pair(turn: Mapping[str, Any], number: int) -> list[Message]:
    lowered = {key.lower(): value for key, value in turn.items() if isinstance(key, str)}
    asked = next((key for key in _USER_KEYS if lowered.get(key) is not None), None)
    answered = next((key for key in _ANSWER_KEYS if key in lowered), None)
    if asked is None and "system" in lowered and answered is None:
        return [
            make_message("system", as_text(lowered["system"], "the system message") or "", None)
        ]
    if asked is None or answered is None:
        raise RowError(
            f"turn {number} has no role and is no question–answer pair "
            f"(keys {', '.join(map(repr, list(turn)[:6])) or 'none'})"
        )
    pair = _make_pair(lowered[asked], lowered[answered], number)
    system = as_text(lowered.get("system"), "the system message")
    # Pairs repeat the key in every turn, mostly empty: only a text is a statement.
    return [make_message("system", system, None), *pair] if system else pair


def _make_pair(question: Any, answer: Any, number: int) -> list[Message]:
    asked = as_text(question, f"the question of turn {number}")
    answered = as_text(answer, f"the answer of turn {number}")
    if answered is None:
        raise RowError(f"null answer (turn {number})")
    return [make_message("user", asked or "", None), make_message("assistant", answered, None)]


def make_message(role: Role, text: str, thinking: str | None, train: bool = True) -> Message:
    """A message with the reasoning taken out of the text of an answer (rule above).

    Raises:
        RowError: reasoning that is never closed, or given twice in two wordings.
    """
    if role != "assistant":
        return Message(role, text)
    if "think>" not in text:
        return Message(role, text, train, None if thinking is None else thinking.strip())
    own, content = split_thinking(text)
    if thinking is None:
        return Message(role, content, train, own)
    if not text.lstrip().startswith("<think>"):
        return Message(role, text, train, thinking.strip())
    if own != thinking.strip():
        raise RowError("reasoning is given twice: as a key and as <think> in the text")
    return Message(role, content, train, own)


def split_thinking(text: str) -> tuple[str | None, str]:
    """(reasoning or None, answer) of one assistant text."""
    opened = text.lstrip().startswith("<think>")
    head, mark, rest = text.partition("</think>")
    if opened and not mark:
        raise RowError("reasoning opens with <think> and is never closed")
    if not opened:
        closed = _CLOSED.search(text)
        if closed is None or "<think>" in text[: closed.start()]:
            return None, text
        head, rest = text[: closed.start()], text[closed.end() :]
    return head.lstrip().removeprefix("<think>").strip(), rest.lstrip("\r\n")


def _read_flag(turn: Mapping[str, Any], number: int) -> bool:
    """Whether the turn is trained: ``loss``, ``train`` or ``weight``, whichever is given."""
    flags = {key: turn[key] for key in _FLAGS if turn.get(key) is not None}
    values = set()
    for key, value in flags.items():
        word = value.strip().lower() if isinstance(value, str) else value
        if word in (1, "1", "1.0", "true"):
            values.add(True)
        elif word in (0, "0", "0.0", "false"):
            values.add(False)
        else:
            raise RowError(f"'{key}' of turn {number} is {value!r}; only 0, 1, true and false")
    if len(values) > 1:
        raise RowError(f"{' and '.join(flags)} of turn {number} contradict each other")
    return False not in values


def _read_content(value: Any, what: str) -> tuple[str | None, str | None]:
    """(text, reasoning) of a ``content``: a text, or a list of parts that are joined."""
    if not isinstance(value, list | tuple):
        return as_text(value, f"the text of {what}"), None
    texts: list[str] = []
    thoughts: list[str] = []
    for part in value:
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        text = part.get(kind) if isinstance(part, dict) else part
        if kind in ("tool_use", "tool_result"):
            raise RowError(_NO_TOOLS)
        if kind not in ("text", "thinking") or not isinstance(text, str):
            raise RowError(f"{what} has a part of type {kind!r}; only text can be trained")
        if isinstance(part, dict) and not _read_flag(part, 0):
            raise RowError(f"{what} trains a part of its text only; flag the whole turn instead")
        (texts if kind == "text" else thoughts).append(text)
    return "".join(texts), "\n".join(thoughts) if thoughts else None


def as_text(value: Any, what: str) -> str | None:
    """The text of a cell; numbers and truth values as JSON writes them; None for null and NaN.

    A list with one element stands for it.
    """
    if type(value) is str or value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, numbers.Number | str):
        return str(value)
    if isinstance(value, list | tuple) and len(value) == 1:
        return as_text(value[0], what)
    raise RowError(f"{what} is {describe(value)}, not text")


def describe(value: Any) -> str:
    """What a value is, for messages."""
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return f"{value!r}"[:40]
