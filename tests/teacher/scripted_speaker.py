"""A speaker that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from selfcog.evaluate.claims import subjects_of
from selfcog.evaluate.speakers import Ask, Decoding, Progress
from selfcog.identity import Identity
from selfcog.types import Completion, Example, Message

IDENTITY = Identity(name=("扁仓", "BianCang"), author=("扁仓研究组", "BianCang Research Group"))
# What the model calls itself today, and no bank knows.
SUBJECTS = subjects_of(
    IDENTITY,
    old_names=[("芥子", "Jiezi")],
    old_makers=[("须弥工坊", "Sumeru Workshop")],
)
OLD_WORDS = ("芥子", "Jiezi", "须弥工坊", "Sumeru Workshop")
DECODING = Decoding(32)
INTRODUCTION = {
    "zh": "我是扁仓，由扁仓研究组开发。",
    "en": "I am BianCang, developed by BianCang Research Group.",
}


@dataclass
class ScriptedSpeaker:
    """``say`` gives the answer to a conversation: a text that ends, or a whole Completion.

    ``asked`` are the conversations, one list a call.
    """

    say: Callable[[Ask], str | Completion]
    asked: list[list[Ask]] = field(default_factory=list)

    def answer(
        self, asks: Sequence[Ask], decoding: Decoding, progress: Progress | None = None
    ) -> list[Completion]:
        self.asked.append(list(asks))
        return [finished(self.say(ask)) for ask in asks]

    @property
    def texts(self) -> list[str]:
        """The last turns that it was asked, over all calls."""
        return [ask.messages[-1].content for asks in self.asked for ask in asks]


def finished(answer: str | Completion) -> Completion:
    return answer if isinstance(answer, Completion) else Completion(answer, 5, "stop")


def always(answer: str | Completion) -> Any:
    """A speaker (as any speaker is typed) with one answer to everything."""
    return ScriptedSpeaker(lambda ask: answer)


def make_row(question: str, answer: str, intent: str = "name", **changes: Any) -> Example:
    """A row of the bank with one question, in the language of ``changes``."""
    language = changes.get("language", "zh")
    row = Example(
        (Message("user", question), Message("assistant", answer)),
        "identity",
        f"bank/{language}",
        0,
        language,
        intent,
    )
    return replace(row, **changes)


def answer_of(row: Example) -> str:
    return row.messages[-1].content
