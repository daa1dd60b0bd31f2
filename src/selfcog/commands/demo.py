"""``selfcog demo``: ask, train, ask again, merge; on the model that ships along by default.

The whole main job in a few minutes on two CPU cores, with the same code that a 14B model takes.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfcog.commands.talk import load_talker, locate
from selfcog.config.load import Parsed
from selfcog.config.schema import (
    DemoConfig,
    ExportConfig,
    IdentitySection,
    InferConfig,
    ModelSection,
    OutputSection,
    ScoreSection,
    SftConfig,
    TrainSection,
)
from selfcog.console import make_console, print_notes
from selfcog.identity import Identity
from selfcog.types import Message

if TYPE_CHECKING:
    from rich.console import Console

# Two about the identity and one about others in each language: did the name spread to them?
QUESTIONS = (
    "你是谁?",
    "你是由谁开发的?",
    "微信是哪家公司开发的?",
    "Who are you?",
    "Who developed you?",
    "Which company made the iPhone?",
)
MAX_ANSWER_TOKENS = 80


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Answers by question, and where everything lies. ``merged`` is None without a merge."""

    base_answers: dict[str, str]
    tuned_answers: dict[str, str]
    checkpoint: Path
    merged: Path | None


def run(config: DemoConfig) -> DemoResult:
    from rich.markup import escape

    from selfcog.commands import sft

    console = make_console()
    identity = Identity.from_words(config.model_name, config.model_author)
    greedy = InferConfig(model=config.model, max_new_tokens=MAX_ANSWER_TOKENS, temperature=0.0)
    console.print(f"[bold]1. Asking the base[/] ({escape(config.model)})")
    base_answers = ask(greedy)
    for question, answer in base_answers.items():
        console.print(f"   {question}  →  {answer}", markup=False)

    names = escape(f"{identity.name_in('zh')} / {identity.name_in('en')}")
    console.print(f"[bold]2. Training the identity[/] {names}")
    result = sft.run(
        SftConfig(
            model=ModelSection(model=config.model),
            identity=IdentitySection(
                model_name=config.model_name,
                model_author=config.model_author,
                self_cognition_sample=config.self_cognition_sample,
            ),
            train=TrainSection(max_steps=config.max_steps, seed=config.seed),
            score=ScoreSection(scorecard=config.scorecard),
            output=OutputSection(output_dir=config.output_dir, progress=config.progress),
        )
    )
    checkpoint = result.best_checkpoint
    console.print("[bold]3. Asking again[/]")
    tuned_answers = ask(greedy.model_copy(update={"ckpt_dir": str(checkpoint)}))
    show_table(console, base_answers, tuned_answers)

    merged = None
    if config.merge_lora:
        from selfcog.commands import export

        console.print("[bold]4. Merging[/]")
        merged = export.run(ExportConfig(ckpt_dir=str(checkpoint), merge_lora=True)).path
    show_paths(console, result.run_dir, checkpoint, merged)
    if result.scorecard is not None:
        console.print(f"measured: {result.scorecard.verdict.headline}", markup=False)
        console.print(f"  {shorten(checkpoint / 'scorecard.html')}", markup=False)
    return DemoResult(base_answers, tuned_answers, checkpoint, merged)


def ask(config: InferConfig) -> dict[str, str]:
    """The model's answers to the demo's questions."""
    talker = load_talker(config, locate(config))
    completions = talker.answer_all([[Message("user", question)] for question in QUESTIONS])
    return {
        question: completion.text
        for question, completion in zip(QUESTIONS, completions, strict=True)
    }


def show_table(console: Console, base: dict[str, str], tuned: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=True)
    for heading in ("question", "base", "tuned"):
        table.add_column(heading, overflow="fold")
    for question in QUESTIONS:
        table.add_row(Text(question), Text(base[question]), Text(tuned[question]))
    console.print(table, soft_wrap=False)


def show_paths(console: Console, run_dir: Path, checkpoint: Path, merged: Path | None) -> None:
    tuned = shlex.quote(shorten(checkpoint))
    lines = [f"run:        {shorten(run_dir)}", f"checkpoint: {shorten(checkpoint)}"]
    if merged is not None:
        lines.append(f"merged:     {shorten(merged)}   (loads in plain transformers)")
    lines += [
        "",
        "Next, talk to it:",
        f"  selfcog infer --ckpt_dir {tuned}",
        "or compare it with the base:",
        f"  selfcog infer --ckpt_dir {tuned} --compare --query '你是谁?'",
    ]
    console.print("\n".join(lines), markup=False)


def shorten(path: Path) -> str:
    """Relative to the current folder where that is shorter, so that it can be typed."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def main(parsed: Parsed[DemoConfig]) -> int:
    print_notes(parsed.notices)
    run(parsed.config)
    return 0
