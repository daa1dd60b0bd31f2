"""What ``sft`` asks the model before it trains it: who it is today, how it words the new identity,
which facts it knows, and what it answers to ordinary prompts.

Everything that comes of it is written to rows.jsonl in the run directory, so that it can be read,
and so that a continued run trains exactly the same rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.commands.progress import AskingBar
from selfcog.commands.rows import (
    CollectedRows,
    IdentityRows,
    collect_identity,
    count_known,
    make_identity,
)
from selfcog.config.load import load_config
from selfcog.config.schema import SftConfig
from selfcog.data import load_dataset, sample
from selfcog.errors import SelfcogError
from selfcog.identity import Identity, generate_known
from selfcog.runs import write_text_atomic
from selfcog.types import Example, Message

if TYPE_CHECKING:
    from rich.console import Console

    from selfcog.evaluate.claims import Subjects
    from selfcog.evaluate.interview import Interview
    from selfcog.evaluate.speakers import LocalSpeaker
    from selfcog.model.locate import ModelPaths
    from selfcog.teacher.prompts import ReplayPrompt
    from selfcog.tokens.render import Renderer
    from selfcog.train.dist import World

BATCH_SIZE = 64
# Questions about other makers that are asked for each row that is wanted.
KNOWN_CANDIDATES = 3
Show = Callable[[str, int, int], None]


def is_asked(config: SftConfig) -> bool:
    """Whether the settings want anything of the model before it is trained."""
    teacher, identity = config.teacher, config.identity
    made = identity.self_cognition_sample > 0
    return wants_replay(config) or (made and (teacher.base_worded or teacher.check_known))


def wants_replay(config: SftConfig) -> bool:
    return config.teacher.replay_sample > 0 and config.teacher.kl_weight > 0


def ask_base(
    config: SftConfig,
    rows: CollectedRows,
    model: Any,
    renderer: Renderer,
    paths: ModelPaths,
    num_replay: int,
    console: Console,
) -> CollectedRows:
    """``rows`` with what the model gives; ``num_replay`` replay rows at most.

    ``model`` is what training starts from: its adapter, when it is a new one, is switched off.
    """
    from selfcog.commands.speak import answer_cache
    from selfcog.evaluate.speakers import LocalSpeaker

    goes_on = config.adapter.adapters
    is_adapted = config.adapter.tuner_type == "lora"
    folders = (paths.path, Path(goes_on).expanduser()) if goes_on else (paths.path,)
    speaker = LocalSpeaker(
        model,
        renderer,
        paths.label,
        "base" if is_adapted and not goes_on else "tuned",
        BATCH_SIZE,
        answer_cache(model, *folders),
    )
    with AskingBar(console, show=config.output.progress) as bar:
        return _Asking(config, rows, speaker, renderer, bar.show).run(num_replay)


@dataclass
class _Asking:
    config: SftConfig
    rows: CollectedRows
    speaker: LocalSpeaker
    renderer: Renderer
    show: Show

    def run(self, num_replay: int) -> CollectedRows:
        from selfcog.evaluate.claims import Subjects

        rows = self.rows
        report: dict[str, Any] = {}
        summary: list[str] = []
        own, interview = rows.own, None
        subjects = Subjects((), (), (), (), frozenset())
        if self._has_name():
            identity = make_identity(self.config.identity)
            interview = self._interview()
            report["interview"] = {"names": interview.names, "makers": interview.makers}
            summary.append(f"base: {describe_interview(interview)}")
            subjects = interview.subjects_for(identity)
            if self.config.identity.self_cognition_sample:
                own = self._identity_rows(identity, interview, subjects, report, summary)
        replay: list[Example] = []
        if wants_replay(self.config) and num_replay:
            replay = self._replay(subjects, interview, num_replay, report, summary)
        old_names = () if interview is None else tuple(_words(interview.names))
        return replace(rows.with_made(own, replay, old_names), teacher=report, summary=summary)

    def _has_name(self) -> bool:
        settings = self.config.identity
        return bool(settings.model_name and settings.model_author)

    def _tell(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.show(what, done, total)

    def _interview(self) -> Interview:
        from selfcog.evaluate.interview import interview
        from selfcog.evaluate.speakers import Decoding

        return interview(
            self.speaker,
            languages=self.config.identity.languages,
            default_system=self.renderer.default_system(),
            decoding=Decoding(self.config.teacher.teacher_max_new_tokens),
            progress=self._tell("interview"),
        )

    def _identity_rows(
        self,
        identity: Identity,
        interview: Interview,
        subjects: Subjects,
        report: dict[str, Any],
        summary: list[str],
    ) -> IdentityRows:
        """The bank's rows anew, now that the old name is known, in the base's words."""
        from selfcog.evaluate.speakers import Decoding
        from selfcog.teacher.facts import check_known
        from selfcog.teacher.wording import FEW, word_identity

        settings, teacher, data = self.config.identity, self.config.teacher, self.config.data
        decoding = Decoding(teacher.teacher_max_new_tokens)
        old = interview.as_identity
        own = collect_identity(
            settings,
            data.columns,
            data.check_dataset_strategy,
            data.dataset_seed,
            () if old is None else (old,),
        )
        if teacher.base_worded:
            found = word_identity(
                self.speaker, own.identity, identity, subjects, decoding, self._tell("wording")
            )
            num_bank = sum(row.source.startswith("bank/") for row in own.identity)
            own = replace(own, identity=found.examples)
            report["base_worded"] = {
                "base": found.num_worded,
                "bank": num_bank - found.num_worded,
                "refused": found.refused,
            }
            line = (
                f"identity answers: {found.num_worded:,} of {num_bank:,} in the base's own words, "
                "the others in the bank's"
            )
            if found.num_worded < FEW * num_bank:
                line += " (the base hardly holds the identity even when told who it is)"
            summary.append(line)
        number = count_known(settings)
        if teacher.check_known and number:
            candidates = generate_known(
                KNOWN_CANDIDATES * number, data.dataset_seed, settings.languages, identity
            )
            known = check_known(
                self.speaker, candidates, number, subjects, decoding, self._tell("known facts")
            )
            report["known"] = {"asked": known.num_asked, "right": known.num_right}
            line = (
                f"facts about other makers: the base knows {known.num_right:,} of "
                f"{known.num_asked:,} asked"
            )
            if known.examples:
                own = replace(own, known=known.examples)
            else:
                line += "; the bank's own rows are used"
            summary.append(line)
        return own

    def _replay(
        self,
        subjects: Subjects,
        interview: Interview | None,
        number: int,
        report: dict[str, Any],
        summary: list[str],
    ) -> list[Example]:
        from selfcog.evaluate.speakers import Decoding
        from selfcog.teacher.replay import make_replay, share_out

        teacher = self.config.teacher
        try:
            earlier = sample(self._earlier_rows(), number // 2, self.rows.seed, "replay")
        except SelfcogError as error:
            earlier = []
            summary.append(f"warning: rows of the adapter's own run are not replayed: {error}")
        sources = self._prompt_sources(number - len(earlier))
        prompts = share_out([source for source in sources if source], number - len(earlier))
        words = () if interview is None else (*_words(interview.names), *_words(interview.makers))
        found = make_replay(
            self.speaker,
            prompts,
            subjects,
            Decoding(teacher.teacher_max_new_tokens),
            own_words=words,
            needs_end=teacher.replay_loss == "ce",
            progress=self._tell("replay"),
        )
        examples = [*earlier, *found.examples]
        report["replay"] = {"prompts": len(prompts), "left_out": found.left_out}
        origins = Counter(row.source for row in examples)
        report["replay"]["rows"] = dict(origins)
        listed = ", ".join(f"{count:,} {name}" for name, count in sorted(origins.items()))
        left_out = sum(found.left_out.values())
        more = f"; {left_out:,} left out" if left_out else ""
        summary.append(
            f"replay: {len(examples):,} rows that shall stay as they are ({listed}{more})"
        )
        return examples

    def _prompt_sources(self, number: int) -> list[list[ReplayPrompt]]:
        from selfcog.teacher.prompts import builtin_prompts, prompts_of, self_written_prompts

        teacher, seed = self.config.teacher, self.rows.seed
        sources: list[list[ReplayPrompt]] = []
        if teacher.replay_dataset:
            data = self.config.data
            loaded = load_dataset(
                teacher.replay_dataset, columns=data.columns, strategy="discard", seed=seed
            )
            sources.append(prompts_of(sample(loaded.examples, number, seed, "replay")))
        if "builtin" in teacher.replay_prompts:
            sources.append(builtin_prompts(self.config.identity.languages, seed))
        if "self" in teacher.replay_prompts:
            self.show("prompts of its own", 0, 1)
            with self.speaker.as_side():
                sources.append(
                    self_written_prompts(
                        self.speaker.model, self.renderer, number, seed, BATCH_SIZE
                    )
                )
        return sources

    def _earlier_rows(self) -> list[Example]:
        """Rows of the run that the adapter comes from: what it learnt there shall stay as well."""
        adapter = self.config.adapter.adapters
        if adapter is None:
            return []
        path = Path(adapter).expanduser().resolve().parent / "config.yaml"
        if not path.is_file():
            return []
        earlier = load_config(path).data
        if not earlier.dataset:
            return []
        loaded = load_dataset(
            earlier.dataset, columns=earlier.columns, strategy="discard", seed=earlier.dataset_seed
        )
        return [replace(row, kind="replay") for row in loaded.examples]


def describe_interview(interview: Interview) -> str:
    """Who the model says it is, in a line: 芥子 (须弥工坊) · Jiezi (Xumi Workshop)."""
    old = interview.old
    parts = [
        f"{name} ({old.makers[language]})" if language in old.makers else name
        for language, name in old.names.items()
    ]
    return " · ".join(dict.fromkeys(parts)) if parts else "does not say who it is"


def _words(counts: Any) -> list[str]:
    return [word for found in counts.values() for word in found]


def save_rows(path: Path, rows: CollectedRows) -> None:
    """rows.jsonl: every row that was made, as it is trained, one JSON object a line; the first
    holds what the base calls itself and the report of what it gave."""
    made = (*rows.own.identity, *rows.own.known, *rows.replay)
    head = {"old_names": rows.old_names, "teacher": rows.teacher}
    lines = [head, *(asdict(row) for row in made)]
    write_text_atomic(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines))


def load_rows(path: Path, rows: CollectedRows) -> CollectedRows:
    """``rows`` with the made rows of an earlier ``save_rows``."""
    # Not splitlines: an answer may hold U+2028, which is no end of a line in JSONL.
    first, *lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    head = json.loads(first)
    made = list(_read_rows(lines))
    own = replace(
        rows.own,
        identity=[row for row in made if row.kind == "identity"],
        known=[row for row in made if row.kind == "known"],
    )
    replay = [row for row in made if row.kind == "replay"]
    found = rows.with_made(own, replay, tuple(head["old_names"]))
    return replace(found, teacher=head["teacher"])


def share_rows(rows: CollectedRows, world: World) -> CollectedRows:
    """Rank 0's made rows on every rank; what comes from files every rank has read itself."""
    made = world.share((rows.own, rows.replay, rows.old_names))
    return rows if world.is_main else rows.with_made(*made)


def _read_rows(lines: Iterable[str]) -> Iterable[Example]:
    for line in lines:
        row = json.loads(line)
        messages = tuple(Message(**message) for message in row.pop("messages"))
        yield Example(messages, **row)
