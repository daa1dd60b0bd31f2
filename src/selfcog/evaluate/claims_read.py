"""Reading one normalised, marked text: for every mention, what the text says of its speaker.

A text is cut into sentences, a sentence into clauses. Each clause is about the speaker, about
somebody else, or silent about it (then it follows the clause before). A mention in it is asserted
or denied when a frame of naming, being or making ties it to the speaker, by the parity of the
negations up to the end of that frame; all else is attributed. The cutting is in `claims_clauses`,
what belongs to a mention in `claims_mentions`, the patterns in `claims_cues` and `claims_frames`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from selfcog.evaluate import claims_cues as cues
from selfcog.evaluate import claims_frames as frames
from selfcog.evaluate.claims_clauses import TOKEN, count_negations, is_bare
from selfcog.evaluate.claims_cues import X
from selfcog.evaluate.claims_mentions import (
    Mention,
    find_mentions,
    is_addressed,
    is_confirmed,
    is_contrasted,
    is_disowned,
    is_in_denied_list,
    is_one_of_many,
    is_taken_back,
)
from selfcog.evaluate.claims_subjects import Lexicon, Referent

Stance = Literal["asserted", "denied", "attributed", "absent"]

_NOT_ME = re.compile(rf"(?m:{cues.NO.pattern})|\bnot me\b|不是(?:我|[啦的哦呀]|\W)")
_NOT_MINE = re.compile(r"我|\b(?:me|my|i)\b")
_ME = re.compile(r"我|\bm[ey]\b")
_ASKS = re.compile(r"^\W*(?:are|am|is|do|does|did|can|could|would)\b|是不是|还是|吗")
_YOU = re.compile(r"^\W*(?:q\W+|问\W+)?(?:are you|were you|is your|你|您)")
_PARTICIPLE = re.compile(
    rf"^\W*(?:(?:(?:an?|the|which|that)\b|{X}'s\b)[^,]*?)?\b"
    rf"(?:was |is |were )?(?:{cues.MADE_EN}|model|assistant|product)\b"
)
_PARTICIPLE_ZH = re.compile(rf"^(?:一[个款种])?(?:由|{X})[^我]*{cues.MADE}")


@dataclass(frozen=True, slots=True)
class Reading:
    """One mention: what its word may stand for, the role it was read in, and what is said.

    ``basis``: it is only called a base of the speaker. ``bare``: it is asserted by standing alone
    ("Tencent."), which says something of the speaker only if the speaker was asked about.
    ``proper``: the words around it show that it is a name and no everyday word.
    """

    referent: Referent
    as_maker: bool
    stance: Stance
    basis: bool = False
    bare: bool = False
    proper: bool = False


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
            one = replace(one, stance="attributed", bare=False)
        yield one


def _is_listed(reading: Reading, as_maker: bool) -> bool:
    role = reading.referent.meaning(as_maker)[0]
    return reading.bare and reading.as_maker is as_maker and role in ("old_name", "old_maker")


def _read_all(text: str, lexicon: Lexicon) -> Iterator[Reading]:
    on_name: Stance = "absent"  # on the last old name
    for mention in find_mentions(text, lexicon):
        reading = _read_mention(mention, on_name)
        if not mention.as_maker:
            on_name = reading.stance
        yield reading


def _read_mention(mention: Mention, on_name: Stance) -> Reading:
    stance = (
        _read_outside(mention)
        or _read_link(mention)
        or _read_other(mention)
        or _read_belief(mention)
        or _read_claim(mention, on_name)
    )
    if stance == "asserted" and not mention.own and is_taken_back(mention):
        stance = "denied"
    alone = is_bare(mention.marked) and not mention.clause.labelled
    return Reading(
        mention.referent,
        mention.as_maker,
        stance,
        basis=stance == "attributed" and _is_basis(mention),
        bare=stance == "asserted" and alone and mention.clause.about == "open",
        proper=bool(frames.PROPER.search(mention.marked)),
    )


def _is_odd(text: str) -> bool:
    return count_negations(text) % 2 == 1


def _is_basis(mention: Mention) -> bool:
    marked = mention.marked
    return bool(not mention.own and frames.BASIS.search(marked) and not _is_odd(marked))


def _read_outside(mention: Mention) -> Stance | None:
    """Quotations, talk about words, parts, addresses and questions; None for plain statements."""
    if mention.quoted:
        if mention.own and is_confirmed(mention):
            return "asserted"
        judged = cues.JUDGED.search(mention.marked[mention.place :] + mention.rest)
        return "denied" if judged else "attributed"
    exemplified = any(frames.EXAMPLE.search(clause.text) for clause in mention.earlier)
    if exemplified or mention.played or frames.WORD_TALK.search(mention.marked):
        return "attributed"
    if mention.own and not mention.as_maker and is_addressed(mention):
        return "attributed"
    if "?" not in mention.sentence[-2:] or cues.RHETORIC.search(mention.sentence):
        return None
    if mention.later and not _ASKS.search(mention.marked):
        return None
    return _read_question(mention)


def _read_question(mention: Mention) -> Stance:
    """What the sentence behind answers to a question that has the mention."""
    if mention.clause.about == "third" and not _YOU.match(mention.sentence):
        return "attributed"
    answer = mention.following
    if cues.ELSEWHERE.search(answer):
        return "attributed"
    if cues.NO.search(answer) or cues.NOT_ME.search(answer) or is_disowned(mention):
        return "denied"
    return "asserted" if cues.YES.search(answer) else "attributed"


def _read_link(mention: Mention) -> Stance | None:
    """Links to the speaker and bases of it, named or denied; None for anything else."""
    marked, about = mention.marked, mention.clause.about
    unlike, related = frames.UNLIKE.search(marked), frames.RELATION.search(marked)
    if not mention.own and about != "third":
        if unlike or (related and _is_odd(marked)):
            return "denied"
    elif about == "self" and not mention.clause.named and (unlike or related) and _is_odd(marked):
        return "denied"
    if mention.own or not frames.BASIS.search(marked):
        return None
    if _is_odd(marked[: mention.place]):
        return "denied"
    return "asserted" if is_confirmed(mention) else "attributed"


def _read_other(mention: Mention) -> Stance | None:
    """Doubts, parts, likeness and whatever else is somebody else's; None for anything else."""
    marked, about = mention.marked, mention.clause.about
    negated = about == "self" and _is_odd(marked[: mention.place])
    if cues.UNCERTAIN.search(marked):
        return "attributed"
    if frames.DISOWNED.search(marked) or (not mention.own and is_disowned(mention)):
        return "denied"
    if frames.PRETEND.search(marked):
        return "denied" if negated else "attributed"
    if mention.as_maker and not mention.own and cues.NOT_THEM.search(mention.rest):
        return "denied"
    if frames.MISTAKEN.search(marked):
        return "denied"
    if frames.OTHER_ONE.search(marked) or cues.ANOTHER.search(mention.rest):
        said = f"{mention.preceding}\n{mention.sentence}"
        mixed_up = mention.introduced and frames.MIXED_UP.search(said)
        return "denied" if mixed_up or _NOT_ME.search(said) else "attributed"
    if frames.LISTED.search(marked) and about != "self":
        return "attributed"
    if frames.FAN.search(marked) or frames.TOPIC.search(marked):
        return "attributed"
    if frames.COMPARED.search(marked):
        unlike = negated and not mention.own and not cues.UNABLE.search(marked)
        return "denied" if unlike else "attributed"
    return None


def _read_belief(mention: Mention) -> Stance | None:
    """What others believe or say of the speaker; None for anything else."""
    if frames.BELIEVED.search(mention.marked) and is_contrasted(mention):
        return "denied"
    if not mention.own and frames.OTHERS_SAY.search(mention.marked):
        return "denied" if mention.introduced else "attributed"
    return None


def _read_claim(mention: Mention, on_name: Stance) -> Stance:
    """Asserted or denied where a frame ties the mention to the speaker, else attributed."""
    marked, about = mention.marked, mention.clause.about
    first = cues.TOKEN_FIRST.search(marked)
    made = frames.MAKER.search(marked)
    if mention.clause.named and first and mention.own and (mention.owned or not mention.as_maker):
        # Speaking of itself by name: what is denied behind it is not the name.
        return "denied" if _NOT_MINE.search(marked) and _is_odd(marked) else "asserted"
    if about == "third":
        if mention.own and is_confirmed(mention):
            return "asserted"
        if mention.as_maker and cues.BY_THEM.search(mention.rest):
            return "asserted"
        topic = mention.as_maker and mention.own and TOKEN.match(mention.sentence)
        if made and topic and not cues.UNCERTAIN.search(mention.rest):
            return _weigh(mention, made.end())
        if not _ME.search(marked):
            return "attributed"
    if mention.after_name and mention.as_maker and not mention.own and _goes_on(marked):
        return on_name
    frame = frames.BE.search(marked)
    if mention.as_maker:
        frame = made or (frame if mention.owned else None)
    if frame and (about == "self" or not first):
        return _weigh(mention, frame.end())
    if is_bare(marked) and is_in_denied_list(mention):
        return "denied"
    if not mention.own and is_one_of_many(mention):
        return "attributed"
    if is_bare(marked) or mention.clause.labelled:
        return _weigh(mention, len(marked))
    # No frame that is known, but the speaker tells what it is not or does not have.
    tells = about == "self" and not mention.own and not first and not cues.UNABLE.search(marked)
    return "denied" if tells and _is_odd(marked[: mention.place]) else "attributed"


def _goes_on(marked: str) -> bool:
    """Whether a clause tells more of the name before it ("…, a model by X")."""
    if cues.SELF.search(marked):
        return False
    return bool(_PARTICIPLE.match(marked) or _PARTICIPLE_ZH.match(marked))


def _weigh(mention: Mention, end: int) -> Stance:
    """Asserted or denied, by the negations up to ``end``, where the frame of the mention ends.

    Behind it only judgements count: "… is wrong", or of something said, in the later clauses.
    """
    flips = count_negations(mention.marked[:end])
    flips += bool(cues.JUDGED.search(mention.marked[end:]))
    flips += bool(cues.JUDGED.search(mention.rest) and cues.SAID.search(mention.marked))
    return "denied" if flips % 2 else "asserted"
