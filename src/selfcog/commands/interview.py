"""``selfcog interview MODEL``: what does this model say of itself today?

Names and makers by language, with and without system prompts, in the thinking trace; the system
text that its chat template adds by itself. ``selfcog eval`` does the same by itself for the base.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from selfcog.commands.progress import AskingBar
from selfcog.config.load import Parsed
from selfcog.config.schema import EvalConfig, InterviewConfig
from selfcog.console import make_console, print_notes
from selfcog.model.locate import resolve_model
from selfcog.runs import write_json_atomic

if TYPE_CHECKING:
    from rich.console import Console

    from selfcog.evaluate.interview import Interview

INTERVIEW_FILE = "interview.json"
MOST_ANSWERS_SHOWN = 6


def run(config: InterviewConfig) -> Interview:
    """Ask, show, and write interview.json where a folder is given. Raises SelfcogError."""
    paths = (
        None
        if config.base_url
        else resolve_model(config.model, config.model_revision, ckpt_dir=config.ckpt_dir)
    )
    from selfcog.commands.speak import load_pair, remote_speaker
    from selfcog.evaluate.interview import interview
    from selfcog.evaluate.speakers import Decoding, Speaker

    console = make_console()
    with AskingBar(console, show=config.progress) as bar:
        bar.say("loading")
        speaker: Speaker
        default_system = None
        if paths is None:
            speaker = remote_speaker(config, None)
        else:
            pair = load_pair(_as_eval(config), paths, None)
            speaker, default_system = pair.tuned, pair.default_system
        found = interview(
            speaker,
            languages=config.languages,
            default_system=default_system,
            decoding=Decoding(config.max_new_tokens),
            progress=lambda done, total: bar.show("interview", done, total),
        )
    show(console, found)
    if config.output_dir is not None:
        path = Path(config.output_dir).expanduser() / INTERVIEW_FILE
        write_json_atomic(path, found.to_json())
        console.print(f"written: {path}", markup=False)
    return found


def _as_eval(config: InterviewConfig) -> EvalConfig:
    return EvalConfig(
        model=config.model,
        ckpt_dir=config.ckpt_dir,
        torch_dtype=config.torch_dtype,
        trust_remote_code=config.trust_remote_code,
        enable_thinking=config.enable_thinking,
        max_batch_size=config.max_batch_size,
    )


def show(console: Console, found: Interview) -> None:
    console.print(f"{found.model} says of itself:", markup=False)
    for language, number in found.num_answers.items():
        for what, counts in (("name", found.names), ("maker", found.makers)):
            told = ", ".join(f"{word} ({n} of {number})" for word, n in counts[language].items())
            console.print(f"  {language} {what}: {told or 'none'}", markup=False)
    if found.trace_names:
        told = ", ".join(f"{word} ({n})" for word, n in found.trace_names.items())
        console.print(f"  in its thinking: {told}", markup=False)
    if found.default_system:
        console.print(f"  its template's own system text: {found.default_system}", markup=False)
    for one in found.statements[:: max(1, len(found.statements) // MOST_ANSWERS_SHOWN)]:
        console.print(f"  {one.question} → {one.answer}", markup=False)


def main(parsed: Parsed[InterviewConfig]) -> int:
    print_notes(parsed.notices)
    run(parsed.config)
    return 0
