"""Cutting a marked text into sentences and clauses, and telling who each clause is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from selfcog.evaluate import claims_cues as cues
from selfcog.evaluate import claims_frames as frames
from selfcog.evaluate.claims_cues import X, Y
from selfcog.evaluate.claims_subjects import FIRST_TOKEN, Lexicon

About = Literal["self", "third", "open"]

TOKEN = re.compile(f"[{chr(FIRST_TOKEN)}-\ue8fd]")
# "n't" as a word of its own, so that the forms of being before it are found; "Labs'" as "Labs's".
_CONTRACTED = (
    (r"\bwon't\b", "will not"),
    (r"\bcan(?:'t|not)\b", "can not"),
    (r"n't\b", " not"),
    (rf"(?<!')({TOKEN.pattern})'(?= \w)", r"\1's"),
)
_SENTENCE = re.compile(r"[^。!?！？~\n.]+(?:\.(?!\s|$|\")[^。!?！？~\n.]*)*[。!?！？~.\n]*\"?")
_ARTICLE = re.compile(r"\s*(?:an?|the|one)\b")
# Clauses that go on about the mention before them stay joined to it.
_RELATIVE = re.compile(
    r"[,，]\s*(?=who\b|which\b[^,]*\bme\b|my (?:developer|creator|maker)|那是我|也就是我)"
)
_APPOSITION = re.compile(r"(?:an?|the|one|your|my) (?!.*\b(?:is|was|are|has|does|can)\b)")
_APPOSITION_BY = re.compile(
    rf"{Y}[^是我,，]*{cues.MADE}[^是我,，]*的(?!是)|{Y}'s (?!.*\b(?:is|was|are|has|does|can"
    rf"|will)\b)"
)
# Neighbours in one list: any two by "and", two names or two makers also by a comma.
_BETWEEN = re.compile(
    f"({TOKEN.pattern})(\\s*[,、/]\\s*(?:and |or |nor |和|或|还是)?|\\s+(?:and|or|nor) |\\s?\\("
    f"|和|或者|或|与|及|以及|还是)\\s*(?=({TOKEN.pattern}))"
)
_BRACKETED = re.compile(f"({TOKEN.pattern})\\s?\\(({TOKEN.pattern})\\)")
_ASIDE = re.compile(r"\(([^()]*)\)(\s?\w.*)$", re.DOTALL)
_LOOSE = re.compile(r"\s*([,、/])\s*")
_LIST_GOES_ON = re.compile(r"\W*$|\W*[,、;:)]|\W+(?:and|or|nor)\b|和|或|与|及|以及|还是|等|都")
_PREDICATE = re.compile(r"\s*(?:is|was|did|does|has)\b")
# "not created, trained, or run by X": one denial of several deeds.
_DEEDS = re.compile(
    rf"(\b(?:{cues.MADE_EN}|{cues.LINK_EN}|funded)(?: (?:by|with|to|from))?)\s?,\s*"
    rf"(?=(?:(?:or|and|nor) )?(?:{cues.MADE_EN}|{cues.LINK_EN}|funded|deployed)\b)"
)
# "我不是X是Y" without a comma.
_NOT_BUT = re.compile(
    f"((?:不是|并非|不叫)[^,，]{{0,12}}{TOKEN.pattern})(?=(?:而)?[是叫](?!不对|错|假|误|口误))"
)
# Words without a subject go on about that of the sentence before.
_ELLIPTIC = re.compile(
    r"^\W*(?:(?:抱歉|对不起|sorry)\W+)?(?:是|由|属于|来自|出自|并?非|并?不是|its?\b"
    r"|(?:is|was|made|created|developed|owned|released)\b)"
)
_SAYS_WHAT_IT_IS = re.compile(r"^(?:is|was|are|has|can|是|于)(?![a-z])")
# A maker with its product, or the other way round.
OWNED = re.compile(f"{X}{frames.OWNER}{Y}|{Y}{frames.OWNER}{X}")
_NEAR = 300  # characters on each side of a mention; a clause of an answer seldom has as many
_ITS_SUBJECT = re.compile(r"^\W*(?:这|那|你|您|感谢|谢|that|this|there|you|your|thank|good|great)")


@dataclass(slots=True)
class Clause:
    """A piece of a sentence and whom it is about.

    ``about``: the speaker, somebody else, or left open. ``labelled``: it is the value of a label
    before it ("Name: …"). ``named``: it opens with the own name, as that of the speaker.
    """

    text: str
    about: About
    labelled: bool
    named: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it stands, quotation marks included, and its clauses without them."""

    text: str
    clauses: list[Clause]


def cut_sentences(text: str, lexicon: Lexicon) -> list[Sentence]:
    """A marked text (see `Lexicon.mark`) in sentences; contractions of "not" are written out."""
    for contraction, words in _CONTRACTED:
        text = re.sub(contraction, words, text)
    sentences: list[Sentence] = []
    topic: About = "open"
    for piece in _SENTENCE.findall(text):
        if not (sentence := piece.strip()):
            continue
        clauses = _cut_clauses(sentence, lexicon, topic if _ELLIPTIC.match(sentence) else "open")
        sentences.append(Sentence(sentence, clauses))
        told = bool(clauses) and all(clause.about == "third" for clause in clauses)
        topic = "third" if told and not _ITS_SUBJECT.match(sentence) else "open"
    return sentences


def _join(match: re.Match[str], lexicon: Lexicon) -> str:
    """Two neighbours in a list without what stands between them."""
    left, right = lexicon.referent(match.group(1)), lexicon.referent(match.group(3))
    names = [one.as_name[0] for one in (left, right) if one.as_name]
    makers = [one.as_maker[0] for one in (left, right) if one.as_maker]
    alike = len(names) == 2 or len(makers) == 2
    behind = match.string[match.end(3) :]
    loose = _LOOSE.fullmatch(match.group(2))
    if loose:
        same = any(len(roles) == 2 and roles[0] == roles[1] for roles in (names, makers))
        joined = same and bool(loose.group(1) != "," or _LIST_GOES_ON.match(behind))
    elif "(" in match.group(2):
        joined = True
    else:
        joined = bool(alike or _LIST_GOES_ON.match(behind))
        joined = joined and not ("and" in match.group(2) and _PREDICATE.match(behind))
    if not joined:
        return match.group()
    return match.group(1)


def _cut_clauses(sentence: str, lexicon: Lexicon, about: About) -> list[Clause]:
    """The clauses of a sentence; ``about`` is whom it goes on about."""
    plain = _BRACKETED.sub(r"\1\2", sentence.replace('"', ""))
    if '"' not in sentence:
        plain = _ASIDE.sub(r"\2(\1)", plain)
    plain = _BETWEEN.sub(lambda match: _join(match, lexicon), plain)
    plain = _NOT_BUT.sub(r"\1,", _DEEDS.sub(r"\1 ", _RELATIVE.sub(" ", plain)))
    clauses: list[Clause] = []
    labelled = False
    starts = _starts(plain)
    for start, end in zip(starts, [*starts[1:], len(plain)], strict=True):
        text = plain[start:end].strip(" ,;:|(){}[]、，；：—-")
        if not text:
            continue
        marked = TOKEN.sub(Y, text)
        named = _is_own_subject(text, lexicon)
        if labelled and about == "third":
            about = "open"
        if cues.BASE_LABEL.search(marked):
            about = "third"
        elif cues.SELF.search(marked) or named:
            about = "self"
        elif about == "self" and (_APPOSITION_BY.match(marked) or cues.OWN_NOUN.search(marked)):
            pass
        elif is_bare(marked) and _is_own_only(text, lexicon):
            pass  # "BianCang (QLU-NLP)"
        elif cues.TOKEN_FIRST.search(marked) and (marked.count(Y) > 1 or not is_bare(marked)):
            about = "third" if about != "self" or len(text) > 12 else about
        elif (
            clauses and _ARTICLE.match(marked) and frames.BASIS.search(_last_as_x(clauses[-1].text))
        ):
            about = "third"  # it tells of the base that was just named
        elif about == "self" and _APPOSITION.match(marked):
            pass
        elif (cues.THIRD.search(marked) and not is_bare(marked)) or cues.FICTION.search(marked):
            about = "self" if _is_it_of_self(marked, sentence) else "third"
        elif about == "open" and _SAYS_WHAT_IT_IS.match(marked) and _opens_with_mention(clauses):
            own = _is_own_only(clauses[0].text, lexicon) and cues.ASSISTANT.search(sentence)
            about = "self" if own else "third"
            for earlier in clauses:
                earlier.about = about
            clauses[0].named = bool(own)
        clauses.append(Clause(text, about, labelled, named))
        labelled = bool(cues.LABEL.search(text))
    return clauses


def _is_own_only(text: str, lexicon: Lexicon) -> bool:
    """Whether all that a text mentions is the own name or maker."""
    own = ("name", "maker")
    tokens = map(lexicon.referent, TOKEN.findall(text))
    return all(token.meaning(False)[0] in own for token in tokens)


def _opens_with_mention(clauses: list[Clause]) -> bool:
    """Whether a mention alone was the subject ("Qwen, also called Tongyi, is …")."""
    if not clauses or not TOKEN.match(clauses[0].text):
        return False
    return is_bare(TOKEN.sub(Y, clauses[0].text))


def _is_own_subject(text: str, lexicon: Lexicon) -> bool:
    """Whether a clause speaks of an assistant by its own name ("BianCang is a model by …")."""
    tokens = list(TOKEN.finditer(text))
    roles = [lexicon.referent(token.group()).meaning(False)[0] for token in tokens[:2]]
    place = 1 if roles == ["maker", "name"] else 0  # "QLU-NLP's BianCang is …"
    if roles[place : place + 1] != ["name"]:
        return False
    marked = mark_one(text, tokens[place].start())
    if place:
        marked = OWNED.sub(X, marked)
    if not cues.OWN_PREDICATE.search(marked):
        return False
    if (
        frames.OTHER_ONE.search(marked)
        or cues.UNCERTAIN.search(marked)
        or frames.MEANS.search(marked)
    ):
        return False
    tells = (
        cues.ASSISTANT.search(marked) or Y in marked or re.search(rf"\b{cues.MADE_EN}\b", marked)
    )
    return bool(tells or re.search(cues.MADE, marked))


def _is_it_of_self(clause: str, sentence: str) -> bool:
    """Whether "it" is a maker or a name of the speaker ("it was QLU-NLP"), or 谁说 asks."""
    it = re.search(
        rf"^\W*(?:and |but )?it(?:'s| is| was) (?:\w+ )?(?:the )?{Y}\W*(?:$|that|who)", clause
    )
    return bool(re.search(r"^谁说", clause) or it) and bool(re.search(r"\b(?:me|i|my)\b", sentence))


def _last_as_x(text: str) -> str:
    tokens = list(TOKEN.finditer(text))
    return mark_one(text, tokens[-1].start()) if tokens else text


def _starts(sentence: str) -> list[int]:
    ends = {match.end() for match in cues.CLAUSE_END.finditer(sentence)}
    return sorted({0, *(ends - {len(sentence)})})


def mark_one(clause: str, position: int) -> str:
    """The clause with the mention as X, neighbours in one list dropped, the others as Y.

    Loops of a model may be one clause of thousands of words: only what is near is kept.
    """
    left, right = clause[max(position - _NEAR, 0) : position], clause[position + 1 :][:_NEAR]
    while left and TOKEN.match(left[-1]):
        left = left[:-1]
    while right and TOKEN.match(right[0]):
        right = right[1:]
    return TOKEN.sub(Y, left) + X + TOKEN.sub(Y, right)


def count_negations(text: str) -> int:
    """How many negations a text has, words that only look like one left out."""
    return len(cues.NEGATION.findall(cues.NO_NEGATION.sub("", text)))


def is_bare(marked: str) -> bool:
    """Whether next to nothing but the mention is left."""
    left = cues.NEGATION.sub("", marked.replace(X, "").replace(Y, ""))
    left = cues.CONTRAST.sub("", left)
    return not re.sub(r"\W", "", cues.FILLER.sub("", left))
