"""Is a test question among the training rows? Character 5-grams, so that spelling hides nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from selfcog.evaluate.questions import IDENTITY_FAMILIES, Question
from selfcog.identity.text import normalize_question

GRAM = 5
# Half of the 5-grams in common: the threshold of the project's research notes (§6d).
MOST_ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Overlap:
    """A test question and the training prompt it is most like. ``jaccard`` 1: the same letters."""

    question: Question
    prompt: str
    jaccard: float


def find_overlaps(questions: Sequence[Question], prompts: Iterable[str]) -> list[Overlap]:
    """Test questions whose 5-gram Jaccard index with any training prompt is at least MOST_ALIKE.

    Families that train on purpose what they ask ("reliability") and questions that are ordinary
    talk are not looked at: only those that measure the identity on unseen wordings.
    """
    watched = [
        one for one in questions if one.family in IDENTITY_FAMILIES and one.family != "reliability"
    ]
    grams = [_grams(one.text) for one in watched]
    index: dict[str, list[int]] = defaultdict(list)
    for place, found in enumerate(grams):
        for gram in found:
            index[gram].append(place)
    closest: dict[int, Overlap] = {}
    for prompt in dict.fromkeys(prompts):
        own = _grams(prompt)
        shared = Counter(place for gram in own for place in index.get(gram, ()))
        for place, count in shared.items():
            alike = count / (len(own) + len(grams[place]) - count)
            if alike >= MOST_ALIKE and (place not in closest or alike > closest[place].jaccard):
                closest[place] = Overlap(watched[place], prompt, alike)
    return [closest[place] for place in sorted(closest)]


def _grams(text: str) -> frozenset[str]:
    """The 5-grams of letters and digits; a shorter text is one gram by itself."""
    key = normalize_question(text)
    if len(key) <= GRAM:
        return frozenset({key} if key else ())
    return frozenset(key[i : i + GRAM] for i in range(len(key) - GRAM + 1))
