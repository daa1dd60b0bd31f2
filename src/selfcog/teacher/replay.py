"""Replay rows: general prompts with the answers that the model gives before it is trained.

Self-generated replay (arXiv 2403.01244) needs no foreign data and no licence, and is in the
model's own style. What would hold on to the old identity is left out, with a count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from selfcog.evaluate.claims import Claims, Subjects, read_claims
from selfcog.evaluate.speakers import Ask, Decoding, LocalSpeaker, Progress
from selfcog.evaluate.text import normalize_answer
from selfcog.identity.text import mentions
from selfcog.teacher.prompts import ReplayPrompt
from selfcog.types import Completion, Example, Message

KIND = "replay"


@dataclass(frozen=True, slots=True)
class ReplayRows:
    """``left_out``: how many answers were not used, by reason."""

    examples: list[Example] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


def share_out(sources: Sequence[Sequence[ReplayPrompt]], number: int) -> list[ReplayPrompt]:
    """``number`` prompts in equal parts of all sources; what one lacks the others give."""
    chosen: list[ReplayPrompt] = []
    by_size = sorted(range(len(sources)), key=lambda place: len(sources[place]))
    taken: dict[int, int] = {}
    left = number
    for done, place in enumerate(by_size):
        part = min(len(sources[place]), -(-left // (len(sources) - done)))
        taken[place] = part
        left -= part
    for place, source in enumerate(sources):
        chosen += source[: taken[place]]
    return chosen


def make_replay(
    speaker: LocalSpeaker,
    prompts: Sequence[ReplayPrompt],
    subjects: Subjects,
    decoding: Decoding,
    *,
    own_words: Sequence[str] = (),
    needs_end: bool = False,
    progress: Progress | None = None,
) -> ReplayRows:
    """Ask every prompt once and keep what may stay as it is.

    ``subjects``: the identity to come, and old ones. ``own_words``: what the model calls itself
    and its maker today. ``needs_end``: answers cut off at the length limit are of no use (as text
    to learn, not as a distribution).
    """
    asks = [Ask(prompt.messages) for prompt in prompts]
    answers = speaker.answer(asks, decoding, progress)
    examples: list[Example] = []
    left_out: Counter[str] = Counter()
    for prompt, answer in zip(prompts, answers, strict=True):
        reason = _reason_against(prompt, answer, subjects, own_words)
        if needs_end and answer.finish_reason == "length":
            reason = reason or "cut off at the length limit"
        if reason:
            left_out[reason] += 1
            continue
        reply = Message("assistant", answer.text, thinking=answer.thinking)
        source = f"{KIND}/{prompt.origin}"
        examples.append(
            Example((*prompt.messages, reply), KIND, source, prompt.line, prompt.language)
        )
    return ReplayRows(examples, dict(left_out))


def _reason_against(
    prompt: ReplayPrompt, answer: Completion, subjects: Subjects, own_words: Sequence[str]
) -> str:
    text = answer.text
    if not text.strip():
        return "empty answer"
    claims = read_claims(text, subjects)
    if claims.degenerate:
        return "answer that repeats itself"
    if _says_who_it_is(claims, prompt) or (
        answer.thinking and _says_who_it_is(read_claims(answer.thinking, subjects), prompt)
    ):
        return "says who it is"
    words = (*subjects.names, *subjects.makers, *own_words)
    normal = normalize_answer("\n".join((prompt.text, answer.thinking or "", text)))
    if any(mentions(normal, normalize_answer(word)) for word in words):
        return "names the old or the new identity"
    return ""


def _says_who_it_is(claims: Claims, prompt: ReplayPrompt) -> bool:
    """Whether a known name is said as one's own that no system prompt gave."""
    given = "\n".join(turn.content for turn in prompt.messages if turn.role == "system")
    leaked = [word for word in claims.leaked if not mentions(given, word)]
    return bool(leaked) or "asserted" in (claims.name, claims.maker)
