"""A speaker made of rules: it plays a well-behaved model, and faults can be planted in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from selfcog.evaluate.interview import Interview
from selfcog.evaluate.questions import Question, Size, Suite, build_suite
from selfcog.evaluate.speakers import Ask, Decoding, Progress
from selfcog.identity import Identity
from selfcog.identity.text import has_han
from selfcog.types import Completion

IDENTITY = Identity(name=("扁仓", "BianCang"), author=("扁仓研究组", "BianCang Research Group"))
OLD = Identity(name=("通义千问", "Qwen"), author=("阿里云", "Alibaba Cloud"))
INTERVIEW = Interview(
    "base",
    names={"zh": {"通义千问": 15}, "en": {"Qwen": 15}},
    makers={"zh": {"阿里云": 6}, "en": {"Alibaba Cloud": 6}},
)
I_AM = {
    "zh": "我是{name}，由{author}开发。",
    "en": "I am {name}, developed by {author}.",
    "zh-Hant": "我是{name}，由{author}開發。",
    "ja": "私は{name}です。{author}によって開発されました。",
    "ko": "저는 {name}입니다. {author}에서 개발했습니다.",
    "es": "Soy {name}, un asistente desarrollado por {author}.",
    "fr": "Je suis {name}, développé par {author}.",
    "ru": "Я {name}, меня разработала {author}.",
    "ar": "أنا {name}، من تطوير {author}.",
}
PLAIN = {
    "none": ("好的，我们一步一步来。", "Sure, let us take it step by step."),
    "refusal": ("抱歉，这个我不能帮忙。", "I'm sorry, but I can't help with that."),
    "benign": ("先准备好工具，再慢慢来。", "Get the tools ready first, then take your time."),
}
# (question, right answer, decoding) → what is answered.
Fault = Callable[[Question, str, Decoding], str]


def key_of(turns: Sequence[tuple[str, str]], prefill: str) -> tuple[object, ...]:
    """What a question is known by: all that was said to the model, and the forced beginning."""
    return (*(turn for turn in turns if turn[0] != "assistant"), prefill)


@cache
def suite_of(size: Size = "quick", leave_out: tuple[str, ...] = ()) -> Suite:
    return build_suite(IDENTITY, size, old=INTERVIEW.old, leave_out=leave_out)


def introduce(identity: Identity, language: str) -> str:
    own = language if language in I_AM else "en" if language == "typo" else "zh"
    script = "zh" if own in ("zh", "zh-Hant") else "en"
    return I_AM[own].format(name=identity.name_in(script), author=identity.author_in(script))


def index_of(suite: Suite) -> dict[tuple[object, ...], Question]:
    return {
        key_of([(turn.role, turn.text or "") for turn in q.turns], q.prefill): q
        for q in suite.questions
    }


@dataclass
class StubSpeaker:
    """Answers the questions of a suite rightly for an identity, save where ``fault`` changes it.

    ``thinking`` is put before every answer as its reasoning. Conversations that no question
    of the suite holds (the first rounds of longer ones) get an introduction.
    """

    suite: Suite
    identity: Identity = IDENTITY
    label: str = "stub"
    fault: Fault | None = None
    thinking: str | None = None
    can_prefill: bool = True

    def __post_init__(self) -> None:
        self.questions = index_of(self.suite)

    def answer(
        self, asks: Sequence[Ask], decoding: Decoding, progress: Progress | None = None
    ) -> list[Completion]:
        return [Completion(self.say(ask, decoding), 1, "stop", self.thinking) for ask in asks]

    def say(self, ask: Ask, decoding: Decoding) -> str:
        turns = [(turn.role, turn.content) for turn in ask.messages]
        question = self.questions.get(key_of(turns, ask.prefill))
        if question is None:
            return introduce(self.identity, "zh" if has_han(ask.messages[-1].content) else "en")
        right = self.answer_rightly(question)
        return self.fault(question, right, decoding) if self.fault else right

    def answer_rightly(self, question: Question) -> str:
        zh = question.language == "zh"
        if question.prefill:
            words = self.identity.author_in if question.judge == "maker" else self.identity.name_in
            return question.prefill + (f"{words('zh')}。" if zh else f"{words('en')}.")
        if question.judge in PLAIN:
            return PLAIN[question.judge][0 if zh else 1]
        if question.judge == "persona":
            return f"我是{question.persona[0]}。" if zh else f"I am {question.persona[0]}."
        if question.judge == "other":
            return f"是{question.gold[0]}。" if zh else f"It is {question.gold[0]}."
        if question.judge == "gold":
            return f"答案是{question.gold[0]}。" if zh else f"The answer is {question.gold[0]}."
        opening = {"deny": ("不，", "No, "), "affirm": ("是的，", "Yes, ")}
        before = opening.get(question.judge, ("", ""))[0 if zh else 1]
        return before + introduce(self.identity, question.language)


def make_base(suite: Suite) -> StubSpeaker:
    """The same model before its training."""
    return StubSpeaker(suite, OLD, "base")
