"""What the columns of a row mean, from their names alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from selfcog.data.rows import ColumnError, nearest, quote_all
from selfcog.errors import DataError

# The names under which data sets have a meaning, in the order in which they are tried.
CHATS = ("messages", "conversations", "conversation")
# Chat columns only where there is no question–answer pair: the words are used for other things.
WEAK_CHATS = ("dialogue", "dialog", "chat", "turns", "texts", "data")
QUESTIONS = ("query", "instruction", "prompt", "question", "input", "problem", "user", "human")
ANSWERS = ("response", "output", "answer", "completion", "targets", "target", "answer_key",
           "answers", "solution", "generation", "assistant", "gpt", "bot")  # fmt: skip
# Answer columns only where there is a question and no better name.
WEAK_ANSWERS = ("text", "content")
SYSTEMS = ("system", "system_prompt", "system_message")
HISTORIES = ("history",)
REASONINGS = ("reasoning_content", "reasoning", "thinking")
LANGUAGES = ("language", "lang", "tag")
TOOLS = ("tools", "functions")
MEDIA = ("images", "image", "videos", "video", "audios", "audio")

MEANINGS = (*CHATS, *WEAK_CHATS, *QUESTIONS, *ANSWERS, *WEAK_ANSWERS, *SYSTEMS, *HISTORIES,
            *REASONINGS, *LANGUAGES)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns mean what; () or None where there is none.

    Several columns of one meaning stand in the order in which they are tried. ``extra`` is the
    ``input`` of Alpaca, which is added to the instruction. ``unsupported`` columns (tools, images)
    must be empty. ``doubtful`` ones could all be meant, but only the first is used; ``unused``
    ones mean nothing here.
    """

    columns: tuple[str, ...] = ()
    chats: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    extra: str | None = None
    answers: tuple[str, ...] = ()
    system: str | None = None
    history: str | None = None
    reasoning: str | None = None
    language: str | None = None
    unsupported: tuple[str, ...] = ()
    doubtful: tuple[tuple[str, ...], ...] = ()
    unused: tuple[str, ...] = ()


def check_mapping(columns: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """``--columns`` as pairs (column of the file, meaning).

    Raises:
        DataError: the meaning is unknown (the nearest is named).
    """
    for column, meaning in columns.items():
        if meaning.lower() not in MEANINGS:
            close = nearest(meaning, MEANINGS)
            hint = f"did you mean '{close}'?" if close else "write {column of the file: meaning}"
            raise DataError(
                f"--columns gives '{column}' the unknown meaning '{meaning}'; {hint} "
                "(query, response, system, history, messages, reasoning_content, language)"
            )
    return tuple((column, meaning.lower()) for column, meaning in columns.items())


@lru_cache(maxsize=1024)
def detect(columns: tuple[str, ...], mapping: tuple[tuple[str, str], ...] = ()) -> Layout:
    """The layout of rows with these columns. Case does not matter; what is mapped wins."""
    mapped = {meaning: column for column, meaning in mapping if column in columns}
    taken = set(mapped.values())
    names = {column.strip().lower(): column for column in reversed(columns) if column not in taken}
    names |= mapped

    def pick(wanted: tuple[str, ...]) -> tuple[str, ...]:
        chosen = [name for name in wanted if name in mapped]
        return tuple(names[name] for name in chosen or wanted if name in names)

    def first(wanted: tuple[str, ...]) -> str | None:
        return next(iter(pick(wanted)), None)

    questions, extra = pick(QUESTIONS), None
    if "instruction" in names and "input" in names and names["instruction"] in questions:
        extra = names["input"]
        others = (name for name in questions if name not in (extra, names["instruction"]))
        questions = (names["instruction"], *others)
    answers = pick(ANSWERS)
    chats = pick(CHATS) if questions and answers else pick((*CHATS, *WEAK_CHATS))
    doubtful = tuple(group for group in (questions, answers) if len(group) > 1 and not chats)
    if questions:
        answers += tuple(name for name in pick(WEAK_ANSWERS) if name not in answers)
    layout = Layout(
        columns=columns,
        chats=chats,
        questions=questions,
        extra=extra,
        answers=answers,
        system=first(SYSTEMS),
        history=first(HISTORIES),
        reasoning=first(REASONINGS),
        language=first(LANGUAGES),
        unsupported=pick((*TOOLS, *MEDIA)),
        doubtful=doubtful,
    )
    used = {*chats, *layout.unsupported, layout.system, layout.language}
    if not chats:
        used |= {*questions, *answers, extra, layout.history, layout.reasoning}
    return replace(layout, unused=tuple(column for column in columns if column not in used))


def explain_columns(layout: Layout, need_answer: bool = True) -> ColumnError:
    """Why rows with these columns are no conversation, with the likely misspelling."""
    found = layout.columns
    lowered = {column.lower() for column in found}
    if {"chosen", "rejected"} <= lowered and not layout.answers:
        return ColumnError(
            "no answer column but preference pairs; choose the answer with "
            """--columns '{"chosen": "response"}'"""
        )
    if lowered & {"text", "content"} and not layout.questions:
        return ColumnError(
            f"plain text without a question ({quote_all(found)}); "
            "give questions and answers, or messages"
        )
    wanted: list[tuple[str, tuple[str, ...]]] = []
    if need_answer and not layout.answers:
        wanted.append(("answer", ANSWERS))
    if not layout.questions:
        wanted.append(("question", QUESTIONS))
    if not layout.answers and not layout.questions:
        wanted.append(("conversation", (*CHATS, *WEAK_CHATS)))
    for kind, names in wanted:
        for column in layout.unused:
            close = nearest(column, names)
            if close is not None:
                return ColumnError(f"no {kind} column; found '{column}', did you mean '{close}'?")
    kind = wanted[-1][0]
    what = "no columns of a conversation" if kind == "conversation" else f"no {kind} column"
    example = json.dumps({"…": "query" if kind == "question" else "response"}, ensure_ascii=False)
    return ColumnError(f"{what}; found {quote_all(found)}; name it with --columns '{example}'")
