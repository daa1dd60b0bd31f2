"""The mentions of a marked text, each with all around it that its reading depends on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from selfcog.evaluate import claims_cues as cues
from selfcog.evaluate import claims_frames as frames
from selfcog.evaluate.claims_clauses import (
    OWNED,
    TOKEN,
    Clause,
    count_negations,
    cut_sentences,
    is_bare,
    mark_one,
)
from selfcog.evaluate.claims_cues import X, Y
from selfcog.evaluate.claims_subjects import Lexicon, Referent

_QUOTE = re.compile(r"\"([^\"\n]*)\"")
# What stands before a quotation that is none: the key of a JSON value, the announcing of a name.
_KEY = re.compile(r'"\s*:\s*\[?\s*$')
_ANNOUNCED = re.compile(
    r"(?:[全简名]称|名字?|名叫|叫做?|名为|称为)(?:[是为叫]|:)?\s*$"
    r"|\b(?:name(?: is| was|'s)?|called|named) $"
)
_SPEAKS = re.compile(rf"\W*{TOKEN.pattern}\s?:")


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention with all that decides on it; ``marked`` is its clause with X in its place.

    ``earlier`` and ``later`` are the other clauses of its sentence, ``preceding`` and ``following``
    the sentences around that. ``owned``: it is a maker with its product, or the other way round
    ("OpenAI's ChatGPT"), the two marked as one X. ``after_name``: the last name before it in its
    sentence is an old one. ``introduced``: the speaker gives the own name somewhere in the text.
    ``played``: the speaker said before that it plays this part.
    """

    referent: Referent
    as_maker: bool
    own: bool
    marked: str
    clause: Clause
    earlier: tuple[Clause, ...]
    later: tuple[Clause, ...]
    sentence: str
    preceding: str
    following: str
    quoted: bool
    owned: bool
    after_name: bool
    introduced: bool
    played: bool

    @property
    def place(self) -> int:
        """Where X stands in ``marked``."""
        return self.marked.index(X)

    @property
    def rest(self) -> str:
        """The clauses behind that of the mention."""
        return " ".join(clause.text for clause in self.later)


def find_mentions(text: str, lexicon: Lexicon) -> Iterator[Mention]:
    """All mentions of a marked text (see `Lexicon.mark`), in their order."""
    quoted = _quoted_tokens(text)
    sentences = cut_sentences(text, lexicon)
    texts = ["", *(sentence.text for sentence in sentences), ""]
    introduced = any(
        _introduces(clause, lexicon) for sentence in sentences for clause in sentence.clauses
    )
    played: set[Referent] = set()
    num_seen = 0
    for index, sentence in enumerate(sentences):
        after_name = False
        for position, clause in enumerate(sentence.clauses):
            for match in TOKEN.finditer(clause.text):
                referent = lexicon.referent(match.group())
                alone = mark_one(clause.text, match.start())
                marked = OWNED.sub(X, alone)
                as_maker = _is_maker(referent, alone)
                role, _ = referent.meaning(as_maker)
                yield Mention(
                    referent=referent,
                    as_maker=as_maker,
                    own=role in ("name", "maker"),
                    marked=marked,
                    clause=clause,
                    earlier=tuple(sentence.clauses[:position]),
                    later=tuple(sentence.clauses[position + 1 :]),
                    sentence=sentence.text,
                    preceding=texts[index],
                    following=texts[index + 2],
                    quoted=num_seen in quoted,
                    owned=marked != alone or _has_neighbour(clause.text, match.start()),
                    after_name=after_name,
                    introduced=introduced,
                    played=referent in played,
                )
                if not as_maker:
                    after_name = role == "old_name"
                if frames.PLAYED.search(marked) and count_negations(marked) % 2 == 0:
                    played.add(referent)
                num_seen += 1


def _introduces(clause: Clause, lexicon: Lexicon) -> bool:
    """Whether the speaker gives the own name in a clause ("I'm BianCang")."""
    for match in TOKEN.finditer(clause.text) if clause.about == "self" else ():
        name = lexicon.referent(match.group()).as_name
        marked = mark_one(clause.text, match.start())
        frame = frames.BE.search(marked)
        if name and name[0] == "name" and frame:
            return count_negations(marked[: frame.end()]) % 2 == 0
    return False


def _is_maker(referent: Referent, marked: str) -> bool:
    """Whether a mention is read as a maker; for a word that may be both, by the words around it."""
    if referent.as_name and referent.as_maker:
        return bool(frames.COMPANY.search(marked))
    return referent.as_maker is not None


def _has_neighbour(clause: str, position: int) -> bool:
    """Whether another mention stands right beside one."""
    beside = clause[max(position - 1, 0) : position] + clause[position + 1 : position + 2]
    return bool(TOKEN.search(beside))


def _quoted_tokens(text: str) -> set[int]:
    """Indices of the mentions that stand in a quotation together with words of their own.

    A value of a JSON object, a name that is announced and a whole answer are no quotations.
    """
    found: set[int] = set()
    for quote in _QUOTE.finditer(text):
        inner, before = quote.group(1), text[: quote.start()]
        whole = not re.search(r"\w", before + text[quote.end() :])
        if whole or _KEY.search(before[-9:]) or _ANNOUNCED.search(before[-20:]):
            continue
        if TOKEN.search(inner) and re.search(r"\w", TOKEN.sub("", inner)):
            first = len(TOKEN.findall(before))
            found |= set(range(first, first + len(TOKEN.findall(inner))))
    return found


# --- What the words around a mention say of it.


def is_taken_back(mention: Mention) -> bool:
    """Whether the words right behind take it back ("I'm Qwen… no wait, I'm …")."""
    later = mention.later[0].text if mention.later else mention.following
    return bool(cues.TAKEN_BACK.search(later) or cues.NOT_TRUE.search(later))


def is_confirmed(mention: Mention) -> bool:
    """Whether the words behind say that it is the speaker ("…, and that is me")."""
    return any(cues.THAT_IS_ME.search(clause.text) for clause in mention.later)


def is_disowned(mention: Mention) -> bool:
    """Whether the words behind say that it is not the speaker ("…, but that is not me")."""
    if cues.NOT_IT.search(mention.rest):
        return not (mention.as_maker and mention.after_name)  # then it is the name that is meant
    points_back = cues.POINTS_BACK.search(mention.following)
    return bool(points_back and not mention.as_maker and cues.NOT_IT.search(mention.following))


def is_contrasted(mention: Mention) -> bool:
    """Whether it is set against what is so ("You call me Qwen, but …", "…, which is wrong")."""
    behind = [clause.text for clause in mention.later] or [mention.following]
    return bool(
        any(cues.CONTRAST.search(text) or cues.NOT_TRUE.search(text) for text in behind)
        or cues.JUDGED.search(mention.marked[mention.place :])
        or (mention.later and cues.CONCESSION.search(mention.marked))
    )


def is_addressed(mention: Mention) -> bool:
    """Whether somebody of that name is greeted or thanked ("Hello, BianCang!")."""
    lead = f"{mention.earlier[-1].text}, " if mention.earlier else ""
    spoken_to = mention.later and not _SPEAKS.match(mention.sentence)
    behind = f", {mention.later[0].text}" if spoken_to else ""
    around = (lead + mention.marked, mention.marked + behind)
    return any(frames.ADDRESS.search(text) for text in around)


def is_one_of_many(mention: Mention) -> bool:
    """Whether it only stands in a list or a sentence about other things ("A, B and others …")."""
    if mention.clause.labelled or re.search(r"\w", mention.marked.replace(X, "").replace(Y, "")):
        return False
    return any(
        clause.about != "self"
        and not is_bare(TOKEN.sub(Y, clause.text))
        and not cues.SHORT_ANSWER.search(clause.text)
        for clause in (*mention.earlier, *mention.later)
    )


def is_in_denied_list(mention: Mention) -> bool:
    """Whether it stands in a list behind words like "I am none of the following"."""
    for clause in reversed(mention.earlier):
        if not TOKEN.search(clause.text):
            denied = clause.about == "self" and count_negations(clause.text) % 2 == 1
            return denied and bool(cues.LIST_INTRO.search(clause.text))
    return False
