"""Reading one normalised, marked text: for every mention, what the text says of its speaker.

A text is cut into sentences, a sentence into clauses. Each clause is about the speaker, about
somebody else, or silent about it (then it follows the clause before). A mention in it is asserted
or denied when a frame of naming, being or making ties it to the speaker, by the parity of the
negations in the clause; all else is attributed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from selfcog.evaluate import claims_cues as cues
from selfcog.evaluate.claims_cues import X, Y
from selfcog.evaluate.claims_subjects import FIRST_TOKEN, Lexicon, Referent

Stance = Literal["asserted", "denied", "attributed", "absent"]
About = Literal["self", "third", "open"]

_TOKEN = re.compile(f"[{chr(FIRST_TOKEN)}-\ue8fd]")
_SENTENCE = re.compile(r"[^。!?！？\n.]+(?:\.(?!\s|$|\")[^。!?！？\n.]*)*[。!?！？.\n]*\"?")
_QUOTE = re.compile(r"\"([^\"]*)\"")
_ARTICLE = re.compile(r"\s*(?:an?|the|one)\b")
_NOT_ME = re.compile(r"\bnot me\b|不是我|^\W*(?:no|nope)\b|^\W*不[,，是]")
# Clauses that go on about the mention before them stay joined to it.
_RELATIVE = re.compile(r"[,，]\s*(?=who\b|which\b|my (?:developer|creator|maker)|那是我|也就是我)")
_APPOSITION = re.compile(r"(?:an?|the|one) (?!.*\b(?:is|was|are|has|does|can)\b)")
_RETRACTED = re.compile(r"错|不对|口误|wrong|mistake|not true|incorrect")
_SAID = re.compile(r"说|\bsa(?:id|y)\b")
_RHETORIC = re.compile(r"谁说|who says")
_ME = re.compile(r"我|\bme\b")
_ASKS = re.compile(r"^\W*(?:are|am|is|do|does|did|can|could|would)\b|是不是|还是|吗")
_BETWEEN = re.compile(
    f"(?<={_TOKEN.pattern})(?:\\s*[,、/]\\s*(?:and |or |nor |和|或)?|\\s+(?:and|or|nor) |"
    f"\\s?\\(|和|或者|或|与|及|以及)\\s*(?={_TOKEN.pattern})"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One mention: what its word may stand for, the role it was read in, and what is said.

    ``basis``: it is only called a base of the speaker. ``bare``: it is asserted by standing alone
    ("Tencent."), which says something of the speaker only if the speaker was asked about.
    """

    referent: Referent
    as_maker: bool
    stance: Stance
    basis: bool = False
    bare: bool = False


@dataclass(slots=True)
class _Clause:
    text: str
    about: About
    labelled: bool


@dataclass(frozen=True, slots=True)
class _Mention:
    """A mention with all that decides on it; ``marked`` is its clause with X in its place."""

    marked: str
    clause: _Clause
    later: tuple[_Clause, ...]
    sentence: str
    following: str
    as_maker: bool
    own: bool
    quoted: bool

    @property
    def rest(self) -> str:
        """The clauses behind that of the mention."""
        return " ".join(clause.text for clause in self.later)


def read_mentions(text: str, lexicon: Lexicon) -> Iterator[Reading]:
    """What a marked text (see `Lexicon.mark`) says of each mention, in their order."""
    sentences = [one.strip() for one in _SENTENCE.findall(text) if one.strip()]
    for index, sentence in enumerate(sentences):
        if _TOKEN.search(sentence):
            yield from _read_sentence(sentence, "".join(sentences[index + 1 : index + 2]), lexicon)


def _read_sentence(sentence: str, following: str, lexicon: Lexicon) -> Iterator[Reading]:
    quoted = _quoted_tokens(sentence)
    plain = sentence.replace('"', "")
    clauses = _cut(_RELATIVE.sub(" ", _BETWEEN.sub("", plain)))
    seen = 0
    for position, clause in enumerate(clauses):
        for match in _TOKEN.finditer(clause.text):
            referent = lexicon.referent(match.group())
            marked = _mark_one(clause.text, match.start())
            as_maker = _is_maker(referent, marked)
            role, _ = referent.meaning(as_maker)
            mention = _Mention(
                marked,
                clause,
                tuple(clauses[position + 1 :]),
                sentence,
                following,
                as_maker,
                role in ("name", "maker"),
                seen in quoted,
            )
            yield _read_mention(mention, referent)
            seen += 1


def _is_maker(referent: Referent, marked: str) -> bool:
    """Whether a mention is read as a maker; for a word that may be both, by the words around it."""
    if referent.as_name and referent.as_maker:
        return bool(cues.COMPANY.search(marked))
    return referent.as_maker is not None


def _quoted_tokens(sentence: str) -> set[int]:
    """Indices of the mentions that stand in a quotation together with words of their own."""
    found: set[int] = set()
    for quote in _QUOTE.finditer(sentence):
        inner = quote.group(1)
        if _TOKEN.search(inner) and re.search(r"\w", _TOKEN.sub("", inner)):
            first = len(_TOKEN.findall(sentence[: quote.start()]))
            found |= set(range(first, first + len(_TOKEN.findall(inner))))
    return found


def _cut(sentence: str) -> list[_Clause]:
    clauses: list[_Clause] = []
    about: About = "open"
    labelled = False
    starts = _starts(sentence)
    for start, end in zip(starts, [*starts[1:], len(sentence)], strict=True):
        text = sentence[start:end].strip(" ,;:|(){}[]、，；：—-")
        if not text:
            continue
        marked = _TOKEN.sub(Y, text)
        if cues.SELF.search(marked):
            about = "self"
        elif cues.TOKEN_FIRST.search(marked) and (marked.count(Y) > 1 or not _is_bare(marked)):
            about = "third" if about != "self" or len(text) > 12 else about
        elif clauses and _ARTICLE.match(marked) and cues.BASIS.search(_last_as_x(clauses[-1].text)):
            about = "third"  # it tells of the base that was just named
        elif about == "self" and _APPOSITION.match(marked):
            pass
        elif cues.THIRD.search(marked) and not _is_bare(marked):
            about = "self" if _is_it_of_self(marked, sentence) else "third"
        clauses.append(_Clause(text, about, labelled))
        labelled = bool(cues.LABEL.search(text))
    return clauses


def _is_it_of_self(clause: str, sentence: str) -> bool:
    return bool(re.search(r"^\s*(?:and |but )?it (?:was|is|'s)\b|^谁说", clause)) and bool(
        re.search(r"\bme\b|\bi\b", sentence)
    )


def _last_as_x(text: str) -> str:
    tokens = list(_TOKEN.finditer(text))
    return _mark_one(text, tokens[-1].start()) if tokens else text


def _starts(sentence: str) -> list[int]:
    return sorted(
        {0, *(match.end() for match in cues.CLAUSE_END.finditer(sentence))} - {len(sentence)}
    )


def _mark_one(clause: str, position: int) -> str:
    """The clause with the mention as X, neighbours in one list dropped, the others as Y."""
    left, right = clause[:position], clause[position + 1 :]
    while left and _TOKEN.match(left[-1]):
        left = left[:-1]
    while right and _TOKEN.match(right[0]):
        right = right[1:]
    return _TOKEN.sub(Y, left) + X + _TOKEN.sub(Y, right)


def _count_negations(text: str) -> int:
    return len(cues.NEGATION.findall(cues.NO_NEGATION.sub("", text)))


def _read_mention(mention: _Mention, referent: Referent) -> Reading:
    marked = mention.marked
    basis = bool(cues.BASIS.search(marked)) and _count_negations(marked) % 2 == 0
    stance = _read_outside(mention) or _read_compared(mention) or _read_claim(mention)
    bare = (
        stance == "asserted"
        and _is_bare(marked)
        and mention.clause.about == "open"
        and not mention.clause.labelled
    )
    return Reading(referent, mention.as_maker, stance, basis and stance == "attributed", bare)


def _read_outside(mention: _Mention) -> Stance | None:
    """Quotations, talk about words, and questions; None for plain statements."""
    if mention.quoted:
        return "denied" if _RETRACTED.search(mention.rest) else "attributed"
    if cues.WORD_TALK.search(mention.marked):
        return "attributed"
    asks = not mention.later or _ASKS.search(mention.marked)
    if not asks or "?" not in mention.sentence[-2:] or _RHETORIC.search(mention.sentence):
        return None
    if mention.clause.about != "third":
        if cues.NO.search(mention.following) and not cues.ELSEWHERE.search(mention.following):
            return "denied"
        if cues.YES.search(mention.following):
            return "asserted"
    return "attributed"


def _read_compared(mention: _Mention) -> Stance | None:
    """Bases, roles, doubts, likeness and what others believe; None for anything else."""
    marked = mention.marked
    negated = _count_negations(marked) % 2 == 1
    if cues.UNLIKE.search(marked):
        return "denied"
    if cues.BASIS.search(marked):
        return "denied" if negated else "attributed"
    if cues.UNCERTAIN.search(marked):
        return "attributed"
    if cues.PRETEND.search(marked):
        return "denied" if negated and mention.clause.about == "self" else "attributed"
    if not mention.own and cues.NOT_IT.search(mention.rest):
        return "denied"
    if cues.COMPARED.search(marked) or cues.FAN.search(marked):
        return "attributed"
    if cues.MISTAKEN.search(marked):
        return "denied"
    if cues.OTHER_ONE.search(marked):
        return "denied" if _NOT_ME.search(mention.sentence) else "attributed"
    contrasted = any(cues.CONTRAST.search(clause.text) for clause in mention.later)
    return "denied" if contrasted and cues.BELIEVED.search(marked) else None


def _read_claim(mention: _Mention) -> Stance:
    """Asserted or denied where a frame ties the mention to the speaker, else attributed."""
    marked, about = mention.marked, mention.clause.about
    flips = _count_negations(marked)
    if _RETRACTED.search(mention.rest) and _SAID.search(marked):
        flips += 1
    stance: Stance = "denied" if flips % 2 else "asserted"
    first = cues.TOKEN_FIRST.search(marked)
    made = cues.MAKER.search(marked)
    if about == "third":
        # Speaking of itself by name: "BianCang is an assistant made by …".
        if mention.own and (first or (mention.as_maker and _TOKEN.match(mention.sentence))):
            return stance if cues.ASSISTANT.search(marked) or made else "attributed"
        if not _ME.search(marked):
            return "attributed"
    framed = made if mention.as_maker else cues.BE.search(marked)
    if framed and (about == "self" or not first):
        return stance
    if _is_bare(marked) or mention.clause.labelled:
        return stance
    return stance if about == "self" and made and not mention.as_maker else "attributed"


def _is_bare(marked: str) -> bool:
    """Whether next to nothing but the mention is left."""
    left = cues.NEGATION.sub("", marked.replace(X, "").replace(Y, ""))
    left = cues.CONTRAST.sub("", left)
    return not re.sub(r"\W", "", cues.FILLER.sub("", left))
