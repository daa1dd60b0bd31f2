"""Asking and marking a whole suite: speakers and questions in, a Scorecard out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from selfcog.evaluate.claims import Subjects, subjects_of
from selfcog.evaluate.gates import Measured, give_verdict, judge_gates
from selfcog.evaluate.interview import Interview
from selfcog.evaluate.likelihood import Drift, choose, measure_drift
from selfcog.evaluate.marking import Mark, mark, presents_itself
from selfcog.evaluate.questions import IDENTITY_FAMILIES, Question, Suite
from selfcog.evaluate.scorecard import Failure, FamilyScore, Pool, Scorecard
from selfcog.evaluate.speakers import Ask, Decoding, LocalSpeaker, Speaker
from selfcog.evaluate.stats import PairedRates, Rate, bootstrap_interval, events_upper, pass_hat_k
from selfcog.identity import Identity
from selfcog.types import Completion, Message

SAMPLE_TEMPERATURE = 0.7
THINKING_STEP = 4  # one generalisation question of so many is asked in both modes
# Families whose base answers are the texts that drift is measured on.
DRIFT_FAMILIES = ("unsolicited", "exact", "benign")
Progress = Callable[[str, int, int], None]


@dataclass
class Answers:
    """One speaker's answers to a suite, by question id; conversations as they were in the end."""

    completions: dict[str, Completion] = field(default_factory=dict)
    conversations: dict[str, tuple[Message, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Examiner:
    """Measures a tuned speaker, beside its base where there is one.

    ``interview`` is the base's (or, without a base, what was known of it): its names are the old
    ones. ``num_samples`` sampled answers a question join the greedy one in the pool of leaks.
    ``thinking``: the tuned speaker in both modes of a thinking model, "on" and "off"; a part of the
    generalisation questions is then asked in both.
    """

    identity: Identity
    suite: Suite
    interview: Interview | None
    decoding: Decoding = field(default_factory=Decoding)
    num_samples: int = 0
    user_texts: Sequence[Sequence[Message]] = ()
    num_parameters: int = 0
    ordinary_name: bool = False
    thinking: Mapping[str, Speaker] = field(default_factory=dict)
    progress: Progress | None = None

    def subjects(self) -> Subjects:
        ordinary = self.identity.names if self.ordinary_name else ()
        if self.interview is None:
            return subjects_of(self.identity, ordinary=ordinary)
        return self.interview.subjects_for(self.identity, ordinary)

    def score(
        self,
        tuned: Speaker,
        base: Speaker | None = None,
        *,
        notes: Sequence[str] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> Scorecard:
        """Ask both, mark, and put the card together."""
        questions, skipped = self._askable(tuned, base)
        subjects = self.subjects()
        told = self.ask(tuned, questions, "tuned")
        before = self.ask(base, questions, "base") if base is not None else None
        marks = self.mark_all(tuned, questions, told, subjects)
        base_marks = self.mark_all(base, questions, before, subjects) if base and before else None
        itself = self._as_itself(questions, before)
        sampled, sampled_leaks = self._sample(tuned, questions, subjects)
        for mode, speaker in self.thinking.items():
            if f"thinking_{mode}" in self.suite.left_out:
                continue
            again = thinking_questions(questions, mode)
            heard = self.ask(speaker, again, f"thinking {mode}")
            told.completions |= heard.completions
            told.conversations |= heard.conversations
            marks |= self.mark_all(speaker, again, heard, subjects)
            questions = [*questions, *again]
        families = _families(questions, marks, base_marks, itself)
        pool = _pool(questions, marks, sampled, self.num_samples)
        locality = [q for q in questions if q.family == "locality"]
        overclaims = Rate.of([marks[q.id].overclaim for q in locality])
        drift = self._drift(tuned, base, questions, before, subjects)
        found = Measured(
            {one.family: one for one in families if one.language == "all"},
            {(one.family, one.language): one for one in families if one.language != "all"},
            pool,
            overclaims,
            drift,
            self.suite.size == "full",
            self.num_parameters,
        )
        gates = judge_gates(found)
        return Scorecard(
            name={language: self.identity.name_in(language) for language in self.suite.languages},
            author={
                language: self.identity.author_in(language) for language in self.suite.languages
            },
            tuned=tuned.label,
            base=base.label if base is not None else None,
            size=self.suite.size,
            families=tuple(families),
            pool=pool,
            overclaims=overclaims,
            drift=drift,
            gates=gates,
            verdict=give_verdict(gates),
            failures=(*_failures(questions, marks, told, base_marks, before), *sampled_leaks),
            old_names=dict(self.interview.old.names) if self.interview else {},
            old_makers=dict(self.interview.old.makers) if self.interview else {},
            notes=(*notes, *skipped),
            provenance={
                "suite_hash": self.suite.hash,
                "suite_seed": self.suite.seed,
                "left_out": list(self.suite.left_out),
                "max_new_tokens": self.decoding.max_new_tokens,
                "num_samples": self.num_samples,
                "sample_temperature": SAMPLE_TEMPERATURE,
                "seed": self.decoding.seed,
                **(provenance or {}),
            },
        )

    def ask(self, speaker: Speaker, questions: Sequence[Question], who: str) -> Answers:
        """Greedy answers; a turn without text gets the speaker's own answer first.

        Multiple choice is not asked: `mark_all` looks at likelihoods.
        """
        found = Answers()
        spoken = [q for q in questions if q.judge != "choice"]
        waiting: dict[str, tuple[Question, int]] = {q.id: (q, 0) for q in spoken}
        done: dict[str, list[Message]] = {q.id: [] for q in spoken}
        while waiting:
            asks, final = [], []
            for id, (question, place) in waiting.items():
                turns = done[id]
                while place < len(question.turns) and question.turns[place].text is not None:
                    turn = question.turns[place]
                    turns.append(Message(turn.role, turn.text or ""))
                    place += 1
                waiting[id] = (question, place)
                last = place == len(question.turns)
                final.append(last)
                asks.append(Ask(tuple(turns), question.prefill if last else ""))
            answers = speaker.answer(asks, self.decoding, self._tell(who))
            for id, is_last, answer in zip(list(waiting), final, answers, strict=True):
                if is_last:
                    found.completions[id] = answer
                    found.conversations[id] = tuple(done[id])
                    del waiting[id]
                else:
                    done[id].append(Message("assistant", answer.text))
                    waiting[id] = (waiting[id][0], waiting[id][1] + 1)
        return found

    def mark_all(
        self,
        speaker: Speaker,
        questions: Sequence[Question],
        answers: Answers,
        subjects: Subjects,
    ) -> dict[str, Mark]:
        marks = {
            q.id: mark(q, answers.completions[q.id], subjects)
            for q in questions
            if q.judge != "choice"
        }
        choices = [q for q in questions if q.judge == "choice"]
        if choices:
            assert isinstance(speaker, LocalSpeaker), "choices were left out for a server"
            for question, picked in zip(choices, choose(speaker, choices), strict=True):
                marks[question.id] = Mark("pass" if picked == question.right else "wrong")
        return marks

    def _askable(self, tuned: Speaker, base: Speaker | None) -> tuple[list[Question], list[str]]:
        """Questions that all speakers can take, and what is left out, in words."""
        speakers = [tuned, *([base] if base is not None else [])]
        local = all(isinstance(one, LocalSpeaker) for one in speakers)
        prefill = all(one.can_prefill for one in speakers)
        kept, dropped = [], Counter[str]()
        for question in self.suite.questions:
            if question.judge == "choice" and not local:
                dropped["multiple choice (needs likelihoods)"] += 1
            elif question.prefill and not prefill:
                dropped["questions with a forced beginning"] += 1
            else:
                kept.append(question)
        return kept, [f"left out, a server cannot do it: {n} {what}" for what, n in dropped.items()]

    def _as_itself(
        self, questions: Sequence[Question], before: Answers | None
    ) -> dict[str, Mark] | None:
        """The base marked for its own former identity, with that identity in the questions."""
        own = self.interview.as_identity if self.interview else None
        if own is None or before is None:
            return None
        known = self.subjects()
        subjects = Subjects(
            _with_aliases(own.names, known.old_names), _with_aliases(own.authors, known.old_makers)
        )
        # Questions that hold the new name, or ask about another one, are not about the base.
        asked = [
            q for q in questions
            if q.family in IDENTITY_FAMILIES and q.judge in ("name", "maker", "both", "persona")
        ]  # fmt: skip
        return {q.id: mark(q, before.completions[q.id], subjects) for q in asked}

    def _sample(
        self, tuned: Speaker, questions: Sequence[Question], subjects: Subjects
    ) -> tuple[dict[str, list[Mark]], list[Failure]]:
        """Marks of the sampled answers by question, and those that leak, word for word."""
        pool = [
            q for q in questions
            if q.family in IDENTITY_FAMILIES and all(turn.text is not None for turn in q.turns)
        ]  # fmt: skip
        marks: dict[str, list[Mark]] = defaultdict(list)
        leaks: list[Failure] = []
        for sample in range(self.num_samples):
            decoding = Decoding(
                self.decoding.max_new_tokens, SAMPLE_TEMPERATURE, 1.0, self.decoding.seed + sample
            )
            asks = [
                Ask(tuple(Message(t.role, t.text or "") for t in q.turns), q.prefill) for q in pool
            ]
            tell = self._tell(f"sample {sample + 1} of {self.num_samples}")
            for question, answer in zip(pool, tuned.answer(asks, decoding, tell), strict=True):
                found = mark(question, answer, subjects)
                marks[question.id].append(found)
                if found.leaked:
                    asked = tuple((turn.role, turn.text or "") for turn in question.turns)
                    id = f"{question.id}, sample {sample + 1}"
                    leaks.append(_failure(question, id, asked, answer, found))
        return marks, leaks

    def _drift(
        self,
        tuned: Speaker,
        base: Speaker | None,
        questions: Sequence[Question],
        before: Answers | None,
        subjects: Subjects,
    ) -> tuple[Drift, ...]:
        if before is None or not (
            isinstance(tuned, LocalSpeaker) and isinstance(base, LocalSpeaker)
        ):
            return ()
        renderer, told = base.renderer, before.completions
        own = [
            (renderer.prompt_ids(before.conversations[q.id]), _ids(base, told[q.id]))
            for q in questions
            # Answers in which the base says who it is are meant to change.
            if q.family in DRIFT_FAMILIES and not presents_itself(told[q.id].text, subjects)
        ]
        theirs = [
            (renderer.prompt_ids(turns[:-1]), _text_ids(base, turns[-1].content))
            for turns in self.user_texts
        ]
        found = [
            measure_drift(base, tuned, own, "the base's own answers"),
            measure_drift(base, tuned, theirs, "your rows") if theirs else None,
        ]
        return tuple(one for one in found if one is not None)

    def _tell(self, who: str) -> Callable[[int, int], None] | None:
        progress = self.progress
        if progress is None:
            return None
        return lambda done, total: progress(who, done, total)


def thinking_questions(questions: Sequence[Question], mode: str) -> list[Question]:
    """Every fourth generalisation question as one of the family "thinking"."""
    chosen = [q for q in questions if q.family == "generalisation"][::THINKING_STEP]
    return [replace(q, id=f"{q.id}.thinking_{mode}", family=f"thinking_{mode}") for q in chosen]


def _ids(speaker: LocalSpeaker, completion: Completion) -> list[int]:
    ids = _text_ids(speaker, completion.text)
    return [*ids, speaker.renderer.stop_ids[0]] if completion.finish_reason == "stop" else ids


def _text_ids(speaker: LocalSpeaker, text: str) -> list[int]:
    return list(speaker.renderer.tokenizer.encode(text, add_special_tokens=False))


def _families(
    questions: Sequence[Question],
    marks: Mapping[str, Mark],
    base_marks: Mapping[str, Mark] | None,
    itself: Mapping[str, Mark] | None,
) -> list[FamilyScore]:
    groups: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        groups[question.family, "all"].append(question)
        if question.language in ("zh", "en"):
            groups[question.family, question.language].append(question)
    scores = []
    for (family, language), part in groups.items():
        passed = [marks[q.id].passed for q in part]
        both = base_marks is not None and all(q.id in base_marks for q in part)
        before = [base_marks[q.id].passed for q in part] if both and base_marks else None
        own = [itself[q.id].passed for q in part if q.id in itself] if itself else []
        scores.append(
            FamilyScore(
                family,
                language,
                Rate.of(passed),
                Rate.of(before) if before else None,
                PairedRates.of(before, passed) if before else None,
                Rate.of(own) if own else None,
                bootstrap_interval([float(p) for p in passed], [q.template for q in part], seed=0),
                sum(marks[q.id].outcome == "undecided" for q in part),
            )
        )
    return scores


def _pool(
    questions: Sequence[Question],
    marks: Mapping[str, Mark],
    sampled: Mapping[str, list[Mark]],
    num_samples: int,
) -> Pool:
    asked = [q for q in questions if q.family in IDENTITY_FAMILIES]
    answers = {q.id: [marks[q.id], *sampled.get(q.id, [])] for q in asked}
    leaked = [any(m.leaked for m in answers[q.id]) for q in asked]
    traced = [any(m.trace_leaked for m in answers[q.id]) for q in asked]
    words = Counter(word for found in answers.values() for m in found for word in m.leaked)
    rate = Rate.of(leaked)
    passed = [sum(m.passed for m in found) for found in sampled.values()]
    return Pool(
        rate,
        events_upper(rate.num_passed, rate.n) if rate.n else 1.0,
        num_samples + 1,
        SAMPLE_TEMPERATURE if num_samples else 0.0,
        pass_hat_k(passed, [num_samples] * len(passed), num_samples) if passed else None,
        num_samples,
        len(passed),
        Rate.of(traced),
        dict(words.most_common()),
    )


def _failures(
    questions: Sequence[Question],
    marks: Mapping[str, Mark],
    told: Answers,
    base_marks: Mapping[str, Mark] | None,
    before: Answers | None,
) -> tuple[Failure, ...]:
    """All that did not pass but multiple choice, where there is no answer to show; and answers
    whose thinking trace asserts an old name."""
    failures = []
    for q in questions:
        found = marks[q.id]
        if q.judge == "choice" or (found.passed and not found.trace_leaked):
            continue
        asked = tuple((turn.role, turn.content) for turn in told.conversations[q.id])
        failure = _failure(q, q.id, asked, told.completions[q.id], found)
        if before is not None and base_marks is not None and q.id in base_marks:
            failure = replace(
                failure,
                base_answer=before.completions[q.id].text,
                base_outcome=base_marks[q.id].outcome,
            )
        failures.append(failure)
    return tuple(failures)


def _failure(
    question: Question,
    id: str,
    asked: tuple[tuple[str, str], ...],
    answer: Completion,
    found: Mark,
) -> Failure:
    return Failure(
        id,
        question.family,
        question.language,
        asked,
        answer.text,
        "trace" if found.passed else found.outcome,
        question.judge,
        question.gold,
        question.prefill,
        thinking=answer.thinking,
    )


def _with_aliases(words: Sequence[str], groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The words and all that share a group with one of them."""
    more = [word for group in groups if set(group) & set(words) for word in group]
    return tuple(dict.fromkeys((*words, *more)))
