"""``selfcog eval``: questions → answers of base and tuned → a scorecard to act on.

Names, files and settings are checked before torch is loaded. The card is shown, and written as
scorecard.json, scorecard.html (self-contained) and scorecard.md (for a model card).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog import __version__
from selfcog.commands.progress import AskingBar
from selfcog.commands.speak import (
    LocalPair,
    load_pair,
    locate_base,
    remote_speaker,
)
from selfcog.commands.talk import locate_model
from selfcog.config.load import Parsed
from selfcog.config.schema import EvalConfig
from selfcog.console import make_console, print_notes
from selfcog.data import load_dataset, load_questions
from selfcog.errors import ConfigError, DataError
from selfcog.identity import Identity
from selfcog.identity.bank import load_bank
from selfcog.model.locate import ModelPaths
from selfcog.runs import write_json_atomic, write_text_atomic
from selfcog.types import Example

if TYPE_CHECKING:
    from selfcog.evaluate.interview import Interview
    from selfcog.evaluate.questions import Question, Suite
    from selfcog.evaluate.scorecard import Scorecard

FULL_SAMPLES = 5


@dataclass(frozen=True, slots=True)
class EvalResult:
    """The card and where it lies."""

    card: Scorecard
    folder: Path


@dataclass(frozen=True, slots=True)
class UserData:
    """The user's own files: what must not be forgotten, and rows that were trained on."""

    questions: list[tuple[str, str, str]]
    rows: list[Example]


def run(config: EvalConfig) -> EvalResult:
    """Measure, show and write. Raises SelfcogError."""
    paths = None if config.base_url else locate_model(config)
    base_paths = locate_base(config, paths) if paths else None
    identity = identity_of(config, paths)
    data = read_user_data(config)
    folder = result_folder(config, paths)

    from selfcog.evaluate.questions import build_suite, check_families, read_user_questions

    check_families(config.leave_out)  # before anything is loaded
    from selfcog.evaluate.measure import Examiner
    from selfcog.evaluate.speakers import Decoding

    console = make_console()
    with AskingBar(console, show=config.progress) as bar:
        bar.say("loading")
        pair = load_pair(config, paths, base_paths) if paths else None
        asked = interview_base(config, pair, bar)
        suite = build_suite(
            identity,
            config.suite,
            old=asked.old if asked else None,
            languages=config.languages,
            leave_out=config.leave_out,
            seed=config.seed,
        )
        suite, notes, overlap = guard_overlap(suite, data.rows)
        if data.questions:
            suite = extend(suite, read_user_questions(data.questions))
        samples = config.samples
        examiner = Examiner(
            identity,
            suite,
            asked,
            Decoding(config.max_new_tokens, seed=config.seed),
            num_samples=(FULL_SAMPLES if config.suite == "full" else 0)
            if samples is None
            else samples,
            user_texts=[one.messages for one in data.rows[: config.dataset_sample]],
            num_parameters=pair.num_parameters if pair else 0,
            ordinary_name=config.ordinary_name,
            thinking=dict(pair.thinking) if pair else {},
            progress=bar.show,
        )
        tuned = pair.tuned if pair else remote_speaker(config, config.system)
        card = examiner.score(
            tuned,
            pair.base if pair else None,
            notes=[*notes, *(pair.notes if pair else [])],
            provenance=provenance(config, pair, overlap),
        )
    write_card(card, folder, asked)
    show(card, folder)
    return EvalResult(card, folder)


def identity_of(config: EvalConfig, paths: ModelPaths | None) -> Identity:
    """The names that should be said: those given, else those the checkpoint was trained with."""
    info = paths.info if paths else None
    names = config.model_name or (info.model_name if info else ())
    authors = config.model_author or (info.model_author if info else ())
    if not names or not authors:
        raise ConfigError(
            "which name and author should it have? give --model_name 小黄 'Xiao Huang' and "
            "--model_author 某某研究组 'Some Group' (a checkpoint of selfcog remembers them)"
        )
    return Identity.from_words(names, authors, aliases=config.aliases)


def read_user_data(config: EvalConfig) -> UserData:
    """Raises DataError for files without usable rows, and for questions without an answer."""
    questions = []
    if config.retention_dataset:
        loaded = load_questions(config.retention_dataset, columns=config.columns, seed=config.seed)
        for one in loaded.questions:
            if not one.reference:
                raise DataError(
                    f"{one.source}:{one.line}: a question of --retention_dataset needs its answer "
                    "beside it"
                )
            where = f"{one.source}:{one.line}"
            questions.append((where, one.messages[-1].content, one.reference))
    rows = load_dataset(config.dataset, columns=config.columns, seed=config.seed).examples
    return UserData(questions, rows)


def interview_base(config: EvalConfig, pair: LocalPair | None, bar: AskingBar) -> Interview | None:
    """The base's own account of itself, or what --old_name says; None where nobody knows."""
    from selfcog.evaluate.interview import Interview, interview

    if config.old_name:
        old = Identity.from_words(config.old_name, config.old_author or config.old_name)
        return Interview(
            "given",
            {lang: {old.name_in(lang): 1} for lang in config.languages},
            {lang: {old.author_in(lang): 1} for lang in config.languages},
        )
    if pair is None or pair.base is None:
        return None
    return interview(
        pair.base,
        languages=config.languages,
        default_system=pair.default_system,
        progress=lambda done, total: bar.show("interview", done, total),
    )


def guard_overlap(suite: Suite, rows: Sequence[Example]) -> tuple[Suite, list[str], dict[str, Any]]:
    """The suite without questions that the user's rows hold, what to say, and the report."""
    from selfcog.evaluate.overlap import find_overlaps

    bank = [
        question.text
        for language in suite.languages
        for question in load_bank(language).questions(split="train")
    ]
    own = [turn.content for row in rows for turn in row.messages if turn.role == "user"]
    of_bank = find_overlaps(suite.questions, bank)
    of_rows = find_overlaps(suite.questions, own)
    dropped = {one.question.id for one in of_rows}
    notes = []
    if dropped:
        first = of_rows[0]
        notes.append(
            f"{len(dropped)} test questions are among your rows and were left out, the first: "
            f"{first.question.text!r} ~ {first.prompt!r}"
        )
    report = {
        "threshold": "character 5-gram Jaccard 0.5",
        "like_bank_questions": len(of_bank),
        "like_own_rows": len(of_rows),
        "num_own_prompts": len(own),
        "left_out": sorted(dropped),
    }
    kept = tuple(one for one in suite.questions if one.id not in dropped)
    return replace(suite, questions=kept), notes, report


def extend(suite: Suite, questions: list[Question]) -> Suite:
    return replace(suite, questions=(*suite.questions, *questions))


def provenance(
    config: EvalConfig, pair: LocalPair | None, overlap: dict[str, Any]
) -> dict[str, Any]:
    import torch
    import transformers

    return {
        "selfcog": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "dtype": str(pair.tuned.model.dtype).removeprefix("torch.") if pair else "server",
        "device": str(pair.tuned.model.device) if pair else "server",
        "system": pair.tuned.renderer.system if pair else config.system,  # type: ignore[attr-defined]
        "num_parameters": pair.num_parameters if pair else None,
        "overlap": overlap,
    }


def result_folder(config: EvalConfig, paths: ModelPaths | None) -> Path:
    if config.output_dir is not None:
        return Path(config.output_dir).expanduser()
    if config.ckpt_dir is not None and paths is not None:
        return paths.adapter or paths.path
    return Path("scorecard")


def write_card(card: Scorecard, folder: Path, asked: Interview | None) -> None:
    from selfcog.evaluate.page import to_html
    from selfcog.evaluate.report import to_markdown

    write_json_atomic(folder / "scorecard.json", card.to_json())
    write_text_atomic(folder / "scorecard.html", to_html(card))
    write_text_atomic(folder / "scorecard.md", to_markdown(card))
    if asked is not None:
        write_json_atomic(folder / "interview.json", asked.to_json())


def show(card: Scorecard, folder: Path) -> None:
    from selfcog.evaluate.report import show_scorecard

    console = make_console()
    show_scorecard(console, card)
    console.print(f"scorecard: {folder / 'scorecard.html'}", markup=False)


def main(parsed: Parsed[EvalConfig]) -> int:
    print_notes(parsed.notices)
    run(parsed.config)
    return 0
