"""Reading one normalised, marked text: for every mention, what the text says of its speaker.

A text is cut into sentences, a sentence into clauses. Each clause is about the speaker, about
somebody else, or silent about it (then it follows the clause before). A mention in it is asserted
or denied when a frame of naming, being or making ties it to the speaker, by the parity of the
negations up to the end of that frame; all else is attributed. The cutting is in `claims_clauses`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from selfcog.evaluate import claims_cues as cues
from selfcog.evaluate import claims_frames as frames
from selfcog.evaluate.claims_clauses import (
    TOKEN,
    Clause,
    count_negations,
    cut_sentences,
    is_bare,
    mark_one,
)
from selfcog.evaluate.claims_cues import X, Y
from selfcog.evaluate.claims_subjects import Lexicon, Referent

Stance = Literal["asserted", "denied", "attributed", "absent"]

_QUOTE = re.compile(r"\"([^\"]*)\"")
_KEY = re.compile(r'"\s*:\s*\[?\s*$')
_NOT_ME = re.compile(r"\bnot me\b|不是我|^\W*(?:no|nope)\b|^\W*不[,，是]")
_NOT_MINE = re.compile(r"我|\b(?:me|my|i)\b")
_RHETORIC = re.compile(r"谁说|who says")
_ME = re.compile(r"我|\bme\b")
_ASKS = re.compile(r"^\W*(?:are|am|is|do|does|did|can|could|would)\b|是不是|还是|吗")
_YOU = re.compile(r"^\W*(?:q\W+|问\W+)?(?:are you|were you|is your|你|您)")
_PARTICIPLE = re.compile(
    rf"^\W*(?:(?:(?:an?|the|which|that)\b|{X}'s\b)[^,]*?)?\b"
    rf"(?:was |is |were )?(?:{cues.MADE_EN}|model|assistant|product)\b"
)
_PARTICIPLE_ZH = re.compile(rf"^(?:一[个款种])?(?:由|{X})[^我]*{cues.MADE}")
_OWNED = re.compile(f"{X}{frames.OWNER}{Y}|{Y}{frames.OWNER}{X}")


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


@dataclass(frozen=True, slots=True)
class _Mention:
    """A mention with all that decides on it; ``marked`` is its clause with X in its place.

    ``owned``: it is a maker with its product, or the other way round ("OpenAI's ChatGPT"), the two
    marked as one X. ``before`` is the stance on an old name mentioned before it in its sentence.
    """

    marked: str
    clause: Clause
    earlier: tuple[Clause, ...]
    later: tuple[Clause, ...]
    sentence: str
    following: str
    as_maker: bool
    own: bool
    quoted: bool
    owned: bool
    before: Stance | None

    @property
    def rest(self) -> str:
        """The clauses behind that of the mention."""
        return " ".join(clause.text for clause in self.later)


def read_mentions(text: str, lexicon: Lexicon) -> Iterator[Reading]:
    """What a marked text (see `Lexicon.mark`) says of each mention, in their order."""
    readings = list(_read_all(text, lexicon))
    listed = [
        {one.referent.meaning(one.as_maker)[1] for one in readings if _is_listed(one, as_maker)}
        for as_maker in (False, True)
    ]
    for one in readings:
        # Several that stand alone are a list of what there is.
        if _is_listed(one, one.as_maker) and len(listed[one.as_maker]) > 1:
            one = Reading(one.referent, one.as_maker, "attributed")
        yield one


def _is_listed(reading: Reading, as_maker: bool) -> bool:
    role = reading.referent.meaning(as_maker)[0]
    return reading.bare and reading.as_maker is as_maker and role in ("old_name", "old_maker")


def _read_all(text: str, lexicon: Lexicon) -> Iterator[Reading]:
    sentences = cut_sentences(text, lexicon)
    for index, sentence in enumerate(sentences):
        following = sentences[index + 1].text if index + 1 < len(sentences) else ""
        yield from _read_sentence(sentence.text, following, sentence.clauses, lexicon)


def _read_sentence(
    sentence: str, following: str, clauses: list[Clause], lexicon: Lexicon
) -> Iterator[Reading]:
    quoted = _quoted_tokens(sentence)
    seen = 0
    before: Stance | None = None
    for position, clause in enumerate(clauses):
        for match in TOKEN.finditer(clause.text):
            referent = lexicon.referent(match.group())
            marked = mark_one(clause.text, match.start())
            as_maker = _is_maker(referent, marked)
            role, _ = referent.meaning(as_maker)
            joined = _OWNED.sub(X, marked)
            mention = _Mention(
                joined,
                clause,
                tuple(clauses[:position]),
                tuple(clauses[position + 1 :]),
                sentence,
                following,
                as_maker,
                role in ("name", "maker"),
                seen in quoted,
                joined != marked or bool(TOKEN.search(_neighbours(clause.text, match.start()))),
                before,
            )
            reading = _read_mention(mention, referent)
            if not as_maker:
                before = reading.stance if role == "old_name" else None
            yield reading
            seen += 1


def _is_maker(referent: Referent, marked: str) -> bool:
    """Whether a mention is read as a maker; for a word that may be both, by the words around it."""
    if referent.as_name and referent.as_maker:
        return bool(frames.COMPANY.search(marked))
    return referent.as_maker is not None


def _quoted_tokens(sentence: str) -> set[int]:
    """Indices of the mentions that stand in a quotation together with words of their own."""
    found: set[int] = set()
    for quote in _QUOTE.finditer(sentence):
        inner = quote.group(1)
        if _KEY.search(sentence[max(quote.start() - 9, 0) : quote.start()]):
            continue  # a value of a JSON object is no quotation
        if TOKEN.search(inner) and re.search(r"\w", TOKEN.sub("", inner)):
            first = len(TOKEN.findall(sentence[: quote.start()]))
            found |= set(range(first, first + len(TOKEN.findall(inner))))
    return found


def _neighbours(clause: str, position: int) -> str:
    return clause[max(position - 1, 0) : position] + clause[position + 1 : position + 2]


def _count_flips(marked: str, end: int) -> int:
    """Negations up to the end of a frame; behind it only a judgement ("… is wrong") counts."""
    return count_negations(marked[:end]) + bool(cues.JUDGED.search(marked[end:]))


def _read_mention(mention: _Mention, referent: Referent) -> Reading:
    marked = mention.marked
    basis = (
        not mention.own and bool(frames.BASIS.search(marked)) and count_negations(marked) % 2 == 0
    )
    stance = _read_outside(mention) or _read_compared(mention) or _read_claim(mention)
    if stance == "asserted" and not mention.own and _is_taken_back(mention):
        stance = "denied"
    bare = (
        stance == "asserted"
        and is_bare(marked)
        and mention.clause.about == "open"
        and not mention.clause.labelled
    )
    return Reading(referent, mention.as_maker, stance, basis and stance == "attributed", bare)


def _is_taken_back(mention: _Mention) -> bool:
    """Whether the words right behind take it back ("I'm Qwen… no wait, I'm …")."""
    later = mention.later[0].text if mention.later else mention.following
    return bool(cues.TAKEN_BACK.search(later) or cues.NOT_TRUE.search(later))


def _read_outside(mention: _Mention) -> Stance | None:
    """Quotations, talk about words, and questions; None for plain statements."""
    if mention.quoted:
        return "denied" if cues.JUDGED.search(mention.rest) else "attributed"
    if frames.WORD_TALK.search(mention.marked):
        return "attributed"
    asks = not mention.later or _ASKS.search(mention.marked) or "?" in mention.sentence[-2:]
    if not asks or "?" not in mention.sentence[-2:] or _RHETORIC.search(mention.sentence):
        return None
    if mention.later and not _ASKS.search(mention.marked):
        return None
    if mention.clause.about != "third" or _YOU.match(mention.sentence):
        if cues.ELSEWHERE.search(mention.following):
            return "attributed"
        if cues.NO.search(mention.following) or cues.NOT_ME.search(mention.following):
            return "denied"
        if cues.YES.search(mention.following):
            return "asserted"
    return "attributed"


def _read_compared(mention: _Mention) -> Stance | None:
    """Links, bases, roles, doubts, likeness and what others believe; None for anything else."""
    marked, about = mention.marked, mention.clause.about
    place = marked.index(X)
    negated = count_negations(marked[:place]) % 2 == 1
    if not mention.own and about != "third":
        if frames.UNLIKE.search(marked):
            return "denied"
        if frames.RELATION.search(marked) and count_negations(marked) % 2 == 1:
            return "denied"
    elif about == "self" and not mention.clause.named:
        apart = frames.UNLIKE.search(marked) or frames.RELATION.search(marked)
        if apart and count_negations(marked) % 2 == 1:
            return "denied"
    if not mention.own and frames.BASIS.search(marked):
        return "denied" if negated else "attributed"
    if cues.UNCERTAIN.search(marked):
        return "attributed"
    if frames.PRETEND.search(marked):
        return "denied" if negated and about == "self" else "attributed"
    if not mention.own and cues.NOT_IT.search(mention.rest):
        return "denied"
    if mention.as_maker and not mention.own and cues.NOT_THEM.search(mention.rest):
        return "denied"
    if frames.MISTAKEN.search(marked):
        return "denied"
    if frames.FAN.search(marked) or frames.TOPIC.search(marked):
        return "attributed"
    if frames.COMPARED.search(marked):
        unlike = negated and about == "self" and not cues.UNABLE.search(marked)
        return "denied" if unlike and not mention.own else "attributed"
    if frames.OTHER_ONE.search(marked):
        return "denied" if _NOT_ME.search(mention.sentence) else "attributed"
    contrasted = any(cues.CONTRAST.search(clause.text) for clause in mention.later)
    if mention.later and cues.CONCESSION.search(marked):
        contrasted = True
    if cues.NOT_TRUE.search(mention.following) and not mention.later:
        contrasted = True
    return "denied" if contrasted and frames.BELIEVED.search(marked) else None


def _read_claim(mention: _Mention) -> Stance:
    """Asserted or denied where a frame ties the mention to the speaker, else attributed."""
    marked, about = mention.marked, mention.clause.about
    first = cues.TOKEN_FIRST.search(marked)
    made = frames.MAKER.search(marked)
    if mention.clause.named and first and mention.own and not mention.as_maker:
        # Speaking of itself by name: what is denied behind it is not the name.
        return "denied" if _NOT_MINE.search(marked) and count_negations(marked) % 2 else "asserted"
    if about == "third":
        if mention.own and any(cues.THAT_IS_ME.search(clause.text) for clause in mention.later):
            return "asserted"
        if mention.as_maker and mention.own and TOKEN.match(mention.sentence) and made:
            return _stance(mention, made.end())
        if not _ME.search(marked):
            return "attributed"
    if mention.before and mention.as_maker and not mention.own and _goes_on(marked):
        return mention.before
    frame = frames.BE.search(marked)
    if mention.as_maker:
        frame = made or (frame if mention.owned else None)
    if frame and (about == "self" or not first):
        return _stance(mention, frame.end())
    if is_bare(marked) and _is_in_denied_list(mention):
        return "denied"
    if is_bare(marked) or mention.clause.labelled:
        return _stance(mention, len(marked))
    # No frame that is known, but the speaker tells what it is not or does not have.
    if about == "self" and not mention.own and not first and not cues.UNABLE.search(marked):
        return "denied" if count_negations(marked[: marked.index(X)]) % 2 else "attributed"
    return "attributed"


def _is_in_denied_list(mention: _Mention) -> bool:
    """Whether it stands in a list behind words like "I am none of the following"."""
    for clause in reversed(mention.earlier):
        if not TOKEN.search(clause.text):
            denied = clause.about == "self" and count_negations(clause.text) % 2 == 1
            return denied and bool(cues.LIST_INTRO.search(clause.text))
    return False


def _goes_on(marked: str) -> bool:
    """Whether a clause tells more of the name before it ("…, a model by X")."""
    if cues.SELF.search(marked):
        return False
    return bool(_PARTICIPLE.match(marked) or _PARTICIPLE_ZH.match(marked))


def _stance(mention: _Mention, end: int) -> Stance:
    flips = _count_flips(mention.marked, end)
    if cues.JUDGED.search(mention.rest) and cues.SAID.search(mention.marked):
        flips += 1
    return "denied" if flips % 2 else "asserted"
