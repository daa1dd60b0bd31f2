"""General prompts for replay: a built-in list, a user's own, and those that a model writes itself.

The built-in list (``prompts/*.jsonl``, one file a language) was written apart from the test
questions; a test compares the two. A model writes prompts when it continues an empty user turn
(Magpie, arXiv 2406.08464): they are spread as its own training was.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Literal

from selfcog.identity.text import normalize_question
from selfcog.types import Example, Message

if TYPE_CHECKING:
    from selfcog.tokens.render import Renderer

# The mark stands where a user's words would; no chat template has it anywhere else.
_MARK = "qzxmarkqzx"
# Shorter continuations of a user turn are mostly noise, longer ones are not finished.
LEAST_CHARACTERS, MOST_TOKENS = 4, 64
DEV_EVERY = 8


@dataclass(frozen=True, slots=True)
class ReplayPrompt:
    """A conversation that ends with a user turn. ``origin``: builtin, self, or a file's name."""

    messages: tuple[Message, ...]
    origin: str
    line: int = 0
    language: str = ""
    topic: str = ""

    @property
    def text(self) -> str:
        return self.messages[-1].content


def builtin_prompts(
    languages: Sequence[str], seed: int, split: Literal["train", "dev"] = "train"
) -> list[ReplayPrompt]:
    """The built-in list: languages alternate, and in each of them the topics, in a drawn order.

    Every eighth prompt is "dev": never replayed, drift is watched on it during training.
    """
    per_language = []
    for language in languages:
        piles: dict[str, list[ReplayPrompt]] = {}
        for line, row in enumerate(_read_builtin(language), start=1):
            if (line % DEV_EVERY == 0) != (split == "dev"):
                continue
            system = (Message("system", row["system"]),) if "system" in row else ()
            messages = (*system, Message("user", row["text"]))
            prompt = ReplayPrompt(messages, "builtin", line, language, row["topic"])
            piles.setdefault(row["topic"], []).append(prompt)
        rng = random.Random(f"{seed}/replay/{language}")
        shuffled = [rng.sample(pile, len(pile)) for _, pile in sorted(piles.items())]
        rng.shuffle(shuffled)
        per_language.append(_deal(shuffled))
    return _deal(per_language)


@cache
def _read_builtin(language: str) -> tuple[dict[str, str], ...]:
    path = resources.files(__package__).joinpath(f"prompts/{language}.jsonl")
    if not path.is_file():
        return ()
    return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def _deal(piles: Sequence[Sequence[ReplayPrompt]]) -> list[ReplayPrompt]:
    """One of each pile in turn; a longer pile goes on when the others are used up."""
    rows = chain.from_iterable(zip_longest(*piles))
    return [row for row in rows if row is not None]


def prompts_of(examples: Iterable[Example]) -> list[ReplayPrompt]:
    """The conversations of a user's file without their last answer."""
    found = []
    for example in examples:
        messages = example.messages[:-1]
        if messages and messages[-1].role == "user":
            found.append(ReplayPrompt(messages, example.source, example.line, example.language))
    return found


def self_written_prompts(
    model: Any, renderer: Renderer, number: int, seed: int, batch_size: int = 32
) -> list[ReplayPrompt]:
    """At most ``number`` different prompts that the model writes when a user turn begins.

    Sampled at temperature 1. Continuations that do not end, are too short or come twice are left
    out; nothing where the template does not begin a user turn before the user's words.
    """
    from selfcog.model.generate import generate_ids
    from selfcog.model.sampling import Sampling

    text = renderer.prompt_text([Message("user", _MARK)])
    before, mark, after = text.partition(_MARK)
    if not mark or number <= 0:
        return []
    encode = renderer.tokenizer.encode
    header = list(encode(before, add_special_tokens=False))
    # What ends a user turn: "<|im_end|>", " [/INST]" … up to the line's end.
    end = after.strip().splitlines()[0] if after.strip() else ""
    control = [str(token) for token in renderer.tokenizer.added_tokens_decoder.values()]
    sampling = Sampling(MOST_TOKENS, temperature=1.0, seed=seed)
    found: dict[str, ReplayPrompt] = {}
    for ids in generate_ids(model, renderer, [header] * number, sampling, batch_size):
        stopped = bool(ids) and ids[-1] in set(renderer.stop_ids)
        written = renderer.tokenizer.decode(ids[:-1] if stopped else ids)
        cut, ended, _ = written.partition(end) if end else (written, "", "")
        prompt = cut.strip()
        is_clean = "\ufffd" not in prompt and not any(token in prompt for token in control)
        if (stopped or ended) and len(prompt) >= LEAST_CHARACTERS and is_clean:
            row = ReplayPrompt((Message("user", prompt),), "self")
            found.setdefault(normalize_question(prompt), row)
    return [row for key, row in found.items() if key]
