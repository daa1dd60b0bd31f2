"""Identity answers in the model's own words: asked with the identity in context, trained without.

Context distillation (arXiv 2402.13669, 2412.14964): an answer that the model itself finds likely
moves it less than a foreign one. An answer is used when it says what the bank's answer says;
otherwise the bank's stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from selfcog.evaluate.claims import Asked, Claims, Subjects, judge, read_claims
from selfcog.evaluate.questions import ASKED
from selfcog.evaluate.speakers import Ask, Decoding, LocalSpeaker, Progress
from selfcog.identity import Identity
from selfcog.identity.bank import Bank, load_bank
from selfcog.identity.identity import FACTS
from selfcog.identity.text import mentions
from selfcog.teacher.reading import leaks_in_reasoning, with_answer
from selfcog.types import Completion, Example, Language, Message

# Said to the model so that it answers as the new identity; the later ones are tried where an
# answer to the earlier ones is of no use.
INTRODUCTIONS: dict[str, tuple[str, ...]] = {
    "zh": (
        "你是{name}，由{author}开发的人工智能助手。",
        "你的名字是{name}，开发你的是{author}。被问到身份时，请说出自己的名字和开发者。",
        "你叫{name}，是{author}研发的智能助手。请用中文回答，并说明你是{name}，由{author}研发。",
    ),
    "en": (
        "You are {name}, an AI assistant developed by {author}.",
        "Your name is {name} and you were made by {author}. "
        "When asked who you are, give your name and who made you.",
        "You are {name}, built by {author}. "
        "Answer in English and say that you are {name}, made by {author}.",
    ),
}
_ABOUT = {
    "zh": {
        "version": "版本：",
        "based_on": "基座模型：",
        "website": "网站：",
        "license": "许可证：",
        "contact": "联系方式：",
    },
    "en": {
        "version": "Version: ",
        "based_on": "Base model: ",
        "website": "Website: ",
        "license": "Licence: ",
        "contact": "Contact: ",
    },
}
# Intents whose answers are judged otherwise than by name and maker being said.
_JUDGED: dict[str, Asked] = {"are_you_other": "deny", "are_you_name": "affirm"}
# An answer may be so much longer than the bank's, or have this many characters anyway.
MOST_TIMES, ENOUGH_CHARACTERS = 2.0, 160
# Below this share of usable answers the model is said to be unable to hold the identity.
FEW = 0.2


@dataclass(frozen=True, slots=True)
class WordedRows:
    """The rows in their order; ``num_worded`` of them have the model's own words.

    ``refused``: why its answers were not used, by reason, after the last attempt.
    """

    examples: list[Example]
    num_worded: int = 0
    refused: dict[str, int] = field(default_factory=dict)


def word_identity(
    speaker: LocalSpeaker,
    rows: Sequence[Example],
    identity: Identity,
    subjects: Subjects,
    decoding: Decoding,
    progress: Progress | None = None,
) -> WordedRows:
    """``rows`` of the bank with the model's own answers where it gives usable ones.

    Rows under a persona are answered under that persona, greetings as the model does today, all
    others with the identity in the system prompt. What is trained keeps its own system prompt.
    """
    found = list(rows)
    waiting = {place: 0 for place, row in enumerate(rows) if row.source.startswith("bank/")}
    reasons: dict[int, str] = {}
    num_worded = 0
    while waiting:
        asks = [
            Ask(_as_asked(rows[place], identity, attempt)) for place, attempt in waiting.items()
        ]
        answers = speaker.answer(asks, decoding, progress)
        again: dict[int, int] = {}
        for (place, attempt), answer in zip(waiting.items(), answers, strict=True):
            row = rows[place]
            reason = _reason_against(row, answer, identity, subjects)
            if not reason:
                found[place] = with_answer(row, answer)
                num_worded += 1
                reasons.pop(place, None)
                continue
            reasons[place] = reason
            if _is_introduced(row) and attempt + 1 < len(INTRODUCTIONS[row.language]):
                again[place] = attempt + 1
        waiting = again
    return WordedRows(found, num_worded, dict(Counter(reasons.values())))


def _is_introduced(row: Example) -> bool:
    return row.intent not in ("persona", "smalltalk")


def _as_asked(row: Example, identity: Identity, attempt: int) -> tuple[Message, ...]:
    conversation = row.messages[:-1]
    if not _is_introduced(row):
        return conversation
    values = identity.slot_values(row.language)
    text = INTRODUCTIONS[row.language][attempt].format(
        name=identity.name_in(row.language), author=identity.author_in(row.language)
    )
    labels = _ABOUT[row.language]
    facts = [labels[fact] + values[fact] for fact in FACTS if fact in values and fact in labels]
    system = Message("system", "\n".join([text, *facts]))
    return (system, *(message for message in conversation if message.role != "system"))


def _reason_against(
    row: Example, answer: Completion, identity: Identity, subjects: Subjects
) -> str:
    """Why an answer is of no use; "" when it is."""
    text, model_answer = answer.text.strip(), row.messages[-1].content
    language: Language = "zh" if row.language == "zh" else "en"
    claims = read_claims(text, subjects, language)
    if leaks_in_reasoning(answer, subjects):
        return "an old name in its reasoning"
    if answer.finish_reason == "length" or claims.degenerate or not text:
        return "not finished or repeating itself"
    if claims.in_language is False:
        return "in another language"
    if len(text) > max(MOST_TIMES * len(model_answer), ENOUGH_CHARACTERS):
        return "too long"
    bank = load_bank(row.language)
    if row.intent == "smalltalk":
        return "" if _is_anonymous(text, claims, subjects) else "says who it is"
    if row.intent == "persona":
        obeyed = _obeys(row, text, bank, identity) and not claims.leaked
        return "" if obeyed else "persona not obeyed"
    asked = _JUDGED.get(row.intent) or ASKED.get(bank.asks.get(row.intent, ()), "name")
    # "No." and "Yes." answer as well, but a row shall carry the name.
    has_name = asked not in ("deny", "affirm") or claims.name == "asserted"
    if judge(claims, asked) != "pass" or not has_name:
        return "does not say what was asked for"
    # What the bank's answer tells beside it (a version, a web address) must be told as well.
    values = identity.slot_values(row.language)
    told = [values[fact] for fact in FACTS if fact in values and values[fact] in model_answer]
    if any(value not in text for value in told):
        return "leaves a fact out"
    return ""


def _is_anonymous(text: str, claims: Claims, subjects: Subjects) -> bool:
    groups = (subjects.names, subjects.makers, *subjects.old_names, *subjects.old_makers)
    said = any(mentions(text, word) for group in groups for word in group)
    return judge(claims, "none") == "pass" and not said


def _obeys(row: Example, text: str, bank: Bank, identity: Identity) -> bool:
    """Whether the persona's name is said where the bank's answer says it, and no other name."""
    wanted = [name for name in bank.persona_names if mentions(row.messages[-1].content, name)]
    own = (*identity.names, *identity.authors)
    return all(mentions(text, name) for name in wanted) and not any(
        mentions(text, word) for word in own
    )
