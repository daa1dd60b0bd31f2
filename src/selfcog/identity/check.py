"""What is wrong with identity rows, found before anything is trained.

Seed files in circulation leave placeholders in, answer one question with and without the name,
answer "who are you?" without naming anybody, and call the model by another maker's name. A model
learns each of these faithfully.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from selfcog.identity.bank import find_slots, languages, load_bank, normalize_question
from selfcog.identity.identity import Identity
from selfcog.identity.placeholders import PLACEHOLDER
from selfcog.identity.text import fold, is_han, mentions, mentions_folded
from selfcog.types import Example, Finding

__all__ = ["check_identity_rows", "claimed_vendors", "infer_asks", "mentions"]

# Slots of other tools that nobody filled: [NAME], <model_name>, {author}.
_STRAY_SLOT = re.compile(
    r"[\[<{【]\s*(?:(?:model|bot|assistant|your|team|company)[ _-]?)?"
    r"(?:name|author|名字|名称|姓名|作者|开发者)\s*[\]>}】]",
    re.IGNORECASE,
)

_NAME_QUESTION = re.compile(
    r"[你您](?:到底|究竟)?(?:是谁|叫什么|叫啥|的?名字|是哪位)|怎么称呼[你您]|[你您]怎么称呼|自我介绍|"
    r"介绍(?:一下|下)?[你您]?自己|"
    r"\bwho (?:exactly )?(?:are|r) (?:you|u)\W*$|\bwhat(?:'s| is) your name\b|"
    r"\bintroduce yourself\b|\bwhat (?:should|can|do|may) (?:i|people) call you\b"
)
_AUTHOR_QUESTION = re.compile(
    r"谁(?:开发|创造|研发|训练|制造|设计|发明|创建|做|造)(?:了|出|的|出来)*[你您]|"
    r"[你您](?:是|由)+(?:谁|哪家公司|哪个(?:公司|团队|机构)|什么(?:公司|团队|机构))[^,。?]{0,4}"
    r"(?:开发|创造|研发|训练|制造|设计|发明|创建|做|造)|"
    r"[你您]的(?:开发者|作者|创造者|研发者|制造者|开发团队|研发团队)|"
    r"\bwho (?:made|created|built|developed|trained|designed) you\b|"
    r"\b(?:who is|who's|who are) your (?:creators?|developers?|makers?)\b"
)

# What may stand between "I am" and a name without changing who is claimed.
_ZH_FILLER = r"(?:由?[^,。!?;不非没]{0,14}(?:开发|研发|训练|推出|创造|打造|发布)的)?" + (
    r"(?:一个|一款|一名|一位|名为|名叫|叫做?|大|语言|模型|人工智能|ai|智能|对话|聊天|助手|助理|机器人|的|\s)*"
)
_ZH_SELF = (
    r"(?<!以为)(?<!认为)(?<!觉得)(?<!当作)(?<!说)我(?:就|其实|真的|确实|的确|当然|正|才|现在)?"
    r"(?:是|叫做?|名叫|的(?:真?名字?|本名)(?:是|叫))"
)
_EN_SELF = r"\b(?:i am|i'm|i’m|my (?:real )?name is|my name's|call me|you're talking to)\s+"
_EN_FILLER = (
    r"(?:(?:an?|the|just|really|actually|called|named|"
    r"ai|language|large|model|assistant|chatbot)\s+)*"
)
_EN_MADE = r"(?:made|created|built|developed|trained|designed|released)"
_ZH_MADE = r"(?:开发|研发|训练|推出|创造|打造|发布|研制)"


@dataclass(frozen=True)
class _Answer:
    """The last exchange of an identity row, and what it ought to carry.

    ``inferred``: the row is not of the bank, so ``asks`` was read from the question's wording.
    """

    example: Example
    question: str
    asks: frozenset[str]
    carries: frozenset[str]
    inferred: bool


def check_identity_rows(examples: Sequence[Example], identity: Identity) -> list[Finding]:
    """Findings on rows that are about to teach ``identity``, in the order of the rows.

    Errors: placeholders left over, empty answers, another vendor's identity claimed in a trained
    answer of an identity row, and contradictory answers to one identity question (one carries the
    name or author that was asked for, another does not). Warnings: such answers that nobody
    contradicts, answers to an unknown question that differ in carrying the name, claims of an
    unnamed base model, slots in other brackets, and a vendor's identity claimed in rows of other
    kinds or under a system prompt that sets it.
    """
    answers = [_read_answer(example, identity) for example in examples]
    contradicted = _find_contradictions([answer for answer in answers if answer])
    findings: list[Finding] = []
    for example, answer in zip(examples, answers, strict=True):
        findings += _check_texts(example, identity)
        findings += _check_claims(example, identity)
        if id(example) in contradicted:
            findings.append(contradicted[id(example)])
        elif answer and not answer.asks <= answer.carries:
            lacking = " and ".join(sorted(answer.asks - answer.carries))
            message = f"{answer.question!r} is answered without the {lacking} that it asks for"
            findings.append(_finding("warning", message, example))
    return findings


def _finding(level: Literal["error", "warning", "note"], message: str, example: Example) -> Finding:
    return Finding(level, message, example.source, example.line)


def _targets(example: Example) -> list[str]:
    return [m.content for m in example.messages if m.role == "assistant" and m.train]


def _check_texts(example: Example, identity: Identity) -> Iterable[Finding]:
    own = sorted({*identity.names, *identity.authors}, key=len, reverse=True)
    braces = [text for text in own if "{" in text or "[" in text or "<" in text or "【" in text]
    for message in example.messages:
        text = message.content
        for word in braces:
            text = text.replace(word, "")
        for match in PLACEHOLDER.finditer(text):
            yield _finding(
                "error",
                f"the placeholder {match.group(0)} is left in the {message.role} text",
                example,
            )
        stray = _STRAY_SLOT.search(PLACEHOLDER.sub("", text))
        if stray and example.kind == "identity":
            message_text = (
                f"{stray.group(0)} in the {message.role} text looks like an unfilled slot"
            )
            yield _finding("warning", message_text, example)
    for target in _targets(example):
        if not target.strip():
            yield _finding("error", "the answer is empty", example)


def _check_claims(example: Example, identity: Identity) -> Iterable[Finding]:
    system = " ".join(m.content for m in example.messages if m.role == "system")
    for target in _targets(example):
        for word in claimed_vendors(target, identity):
            # A system prompt may set the role of another assistant; that is odd, not wrong.
            strict = example.kind == "identity" and not mentions(system, word)
            yield _finding(
                "error" if strict else "warning",
                f"the answer claims to be {word} or made by it: {_shorten(target)!r}",
                example,
            )
        for word in _claimed_bases(target, identity):
            yield _finding(
                "warning",
                f"the answer claims to be based on {word}, which --based_on does not say: "
                f"{_shorten(target)!r}",
                example,
            )


def claimed_vendors(text: str, identity: Identity) -> list[str]:
    """Names of other assistants and makers that the text claims for its speaker.

    "I am Qwen" and "我由阿里云开发" claim; "I'm not Qwen" and "Qwen is by Alibaba Cloud" do not.
    The identity's own names and authors never count.
    """
    folded = fold(text)
    found = [
        match.group("word")
        for pattern in _claim_patterns(_foreign_words(identity))
        for match in pattern.finditer(folded)
    ]
    return list(dict.fromkeys(found))


def _claimed_bases(text: str, identity: Identity) -> list[str]:
    names, _ = _foreign_words(identity)
    based_on = fold(identity.based_on or "")
    return [
        match.group("word")
        for match in _base_pattern(names).finditer(fold(text))
        if not mentions_folded(based_on, match.group("word"))
    ]


@cache
def _vendor_words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Folded names and folded makers of all vendors of all languages."""
    vendors = [vendor for language in languages() for vendor in load_bank(language).vendors]
    names = {fold(word) for vendor in vendors for word in (vendor.name, *vendor.aliases)}
    makers = {fold(vendor.maker) for vendor in vendors}
    return tuple(sorted(names)), tuple(sorted(makers))


@lru_cache(maxsize=64)
def _foreign_words(identity: Identity) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names, makers = _vendor_words()
    own = [fold(text) for text in (*identity.names, *identity.authors)]

    def keep(words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            word
            for word in words
            if not any(mentions_folded(text, word) or mentions_folded(word, text) for text in own)
        )

    return keep(names), keep(makers)


@lru_cache(maxsize=64)
def _claim_patterns(
    words: tuple[tuple[str, ...], tuple[str, ...]],
) -> tuple[re.Pattern[str], ...]:
    name, maker = _any_of(words[0]), _any_of(words[1])
    english_between = r"(?:(?!\bnot\b|n't\b|\bunlike\b)[^.!?;])*?"
    return tuple(
        re.compile(pattern)
        for pattern in (
            f"{_ZH_SELF}{_ZH_FILLER}{name}",
            rf"{_EN_SELF}{_EN_FILLER}{name}",
            rf"我(?:就|其实|确实)?(?:是|由|是由)+{maker}[^,。!?;不]{{0,6}}{_ZH_MADE}",
            rf"(?<!不是){maker}(?:的团队)?{_ZH_MADE}(?:了|出)我",
            rf"\bi(?:'m|’m| am| was)\b{english_between}\b{_EN_MADE} by (?:the )?{maker}",
            rf"{maker}(?:'s team)? {_EN_MADE} me\b",
        )
    )


@lru_cache(maxsize=64)
def _base_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        r"(?:(?<!不是)(?<!并非)(?<!没有)基于(?:\w{0,8}?的)?|"
        r"(?<!not )\b(?:based|built) on (?:the )?)" + _any_of(names)
    )


def _any_of(words: Iterable[str]) -> str:
    """A group named "word" for any of the words; Latin words must not run on into letters."""
    choices = []
    for word in sorted(words, key=len, reverse=True):
        before = "" if is_han(word[0]) else r"(?<![a-z])"
        after = "" if is_han(word[-1]) else r"(?![a-z])"
        choices.append(f"{before}{re.escape(word)}{after}")
    return f"(?P<word>{'|'.join(choices) or '(?!)'})"


def infer_asks(question: str) -> frozenset[str]:
    """Which of "name" and "author" an identity question asks for; empty for other questions.

    Questions of the bank are known; others are told by the commonest wordings.
    """
    known = _asks_of_bank().get(normalize_question(question))
    if known is not None:
        return known
    folded = fold(question)
    asks = {"name"} if _NAME_QUESTION.search(folded) else set()
    return frozenset(asks | ({"author"} if _AUTHOR_QUESTION.search(folded) else set()))


@cache
def _asks_of_bank() -> dict[str, frozenset[str]]:
    return {
        normalize_question(question.text): frozenset(bank.asks[question.intent])
        for bank in map(load_bank, languages())
        for question in bank.questions()
        if not find_slots(question.text)
    }


def _read_answer(example: Example, identity: Identity) -> _Answer | None:
    """The row as an answer that must carry something; None for rows of another kind.

    Rows with a system prompt of the user's own are left out, as that may set another role.
    """
    turns = [message for message in example.messages if message.role != "system"]
    targets = _targets(example)
    if example.kind != "identity" or len(turns) < 2 or not targets:
        return None
    question = turns[-2].content
    made_here = bool(example.intent)
    if made_here:
        bank = load_bank(example.language or languages()[0])
        asks = frozenset(bank.asks.get(example.intent, ()))
    elif len(turns) < len(example.messages):
        return None
    else:
        asks = infer_asks(question)
    carried = {
        key
        for key, words in (("name", identity.names), ("author", identity.authors))
        if any(mentions(targets[-1], word) for word in words)
    }
    return _Answer(example, question, asks, frozenset(carried), not made_here)


def _find_contradictions(answers: Sequence[_Answer]) -> dict[int, Finding]:
    """For each question answered both with and without what it asks, a finding on each lack."""
    groups: dict[tuple[object, ...], list[_Answer]] = {}
    for answer in answers:
        context = tuple((m.role, m.content) for m in answer.example.messages[:-2])
        groups.setdefault((context, normalize_question(answer.question)), []).append(answer)
    findings: dict[int, Finding] = {}
    for group in groups.values():
        for answer in group:
            # A question that nobody knows is held to what its other answers carry.
            asks = answer.asks or ({"name"} if answer.inferred else set())
            lacking = sorted(asks - answer.carries)
            better = [one for one in group if set(lacking) & one.carries]
            if lacking and better:
                example = better[0].example
                findings[id(answer.example)] = _finding(
                    "error" if answer.asks else "warning",
                    f"contradictory answers to {answer.question!r}: "
                    f"{_shorten(_targets(answer.example)[-1])!r} lacks the {lacking[0]}, but "
                    f"{example.source}:{example.line} gives it; keep one of the two",
                    answer.example,
                )
    return findings


def _shorten(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
