"""``selfcog infer``: chat in the terminal, ask once with --query, or answer a file of questions.

From a base, a checkpoint (its base and system prompt are remembered), or a merged folder. What
is missing or misspelt is answered before torch is loaded.
"""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

from selfcog.commands.chat_ui import Chat, LineReader, ask_once, describe
from selfcog.commands.talk import Talker, Transcript, load_talker, locate, open_transcript
from selfcog.config.load import Parsed
from selfcog.config.schema import InferConfig
from selfcog.console import make_console, print_notes
from selfcog.data import load_questions
from selfcog.errors import ConfigError
from selfcog.types import Completion

if TYPE_CHECKING:
    from selfcog.data.formats import Question

# Questions of a file are sorted by length within a chunk of this many batches, then shown.
CHUNK_BATCHES = 8


def run(config: InferConfig) -> None:
    """Answer what is asked. Raises SelfcogError."""
    paths = locate(config)
    questions = read_questions(config)
    if any(not text.strip() for text in config.query):
        raise ConfigError("--query is empty; write the question after it")
    transcript = open_transcript(config, paths, one_shot=bool(config.query))
    talker = load_talker(config, paths)
    transcript.facts["system"] = talker.renderer.system
    print_notes(talker.notices)
    if config.query:
        ask_once(talker, transcript, config.query)
    elif config.val_dataset:
        answer_file(talker, transcript, questions)
    else:
        Chat(talker, transcript, LineReader()).run()


def read_questions(config: InferConfig) -> list[Question]:
    """The questions of the files, or a random sample of them in the files' order."""
    if not config.val_dataset:
        return []
    loaded = load_questions(config.val_dataset, columns=config.columns, seed=config.seed)
    note = make_console(stderr=True)
    for row in loaded.rejected:
        note.print(f"left out: {row.source}:{row.line}: {row.reason}", markup=False)
    questions, number = loaded.questions, config.val_dataset_sample
    if number is None or number >= len(questions):
        return questions
    kept = sorted(random.Random(config.seed).sample(range(len(questions)), number))
    return [questions[position] for position in kept]


def answer_file(talker: Talker, transcript: Transcript, questions: list[Question]) -> None:
    """Print [QUERY] [RESPONSE] [LABELS] of every question and keep them in the transcript."""
    note = make_console(stderr=True)
    for line in describe(talker):
        note.print(line, markup=False)
    size = talker.config.max_batch_size * CHUNK_BATCHES
    for first in range(0, len(questions), size):
        chunk = questions[first : first + size]
        conversations = [list(question.messages) for question in chunk]
        base: list[Completion | None] = [None] * len(chunk)
        if talker.config.compare:
            with talker.side("base"):
                base = list(talker.answer_all(conversations))
        answers = talker.answer_all(conversations)
        for question, answer, other in zip(chunk, answers, base, strict=True):
            show(question, answer, other)
            extra = {"source": question.source, "line": question.line}
            if question.reference is not None:
                extra["labels"] = question.reference
            if other is not None:
                extra["base_response"] = other.text
            transcript.add(question.messages, answer, **extra)
        sys.stdout.flush()
        note.print(f"answered {first + len(chunk)} of {len(questions)}")
    note.print(f"result: {transcript.path}", markup=False)


def show(question: Question, answer: Completion, base: Completion | None) -> None:
    print(f"[QUERY] {question.messages[-1].content}")
    if base is not None:
        print(f"[BASE] {base.text}")
    print(f"[RESPONSE] {answer.text}")
    if question.reference is not None:
        print(f"[LABELS] {question.reference}")
    print("-" * 40)


def main(parsed: Parsed[InferConfig]) -> int:
    print_notes(parsed.notices)
    run(parsed.config)
    return 0
