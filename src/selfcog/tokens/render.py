"""Conversations → token ids and labels, exactly as the model will meet them.

Only assistant turns with ``train`` are learnt: the answer's tokens and the end-of-turn token(s),
never a header, a system text, a question, an empty think block or what follows the end token.

Token boundaries are those of generation: the prompt is tokenised by itself, as it is before an
answer is generated, and the answer is joined to it. ``Renderer.prompt_ids`` is therefore always
what training saw before the answer.

Where a template writes a past turn in another way than it was generated (without its thinking,
without the empty think block, with another end token), the past turn is only context, and
``render_all`` makes a row of its own for it. Nothing that is to be learnt gets lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from selfcog.errors import TemplateError
from selfcog.tokens import view
from selfcog.tokens.template import ChatTemplate
from selfcog.tokens.turns import Turn, TurnReader
from selfcog.types import IGNORE_INDEX, Example, Message, RejectedRow, TokenizedExample

Truncation = Literal["delete", "left", "right"]
BATCH_SIZE = 512


@dataclass(slots=True)
class Rendered:
    """What ``render_all`` made of examples, in their order.

    ``num_split``: rows among ``rows`` that exist because a past turn needed a row of its own.
    """

    rows: list[TokenizedExample] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    num_split: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """The learnt turns of one example: the last one, whose row it is, and those before it."""

    example: Example
    last: Turn
    earlier: list[Turn]


class Renderer:
    """Renders conversations with the tokenizer's own chat template.

    ``system`` is inserted where a row has no system message (None: the template's default stays;
    "": an explicit empty one). ``enable_thinking`` goes to templates that know it; what it means
    for rows is told in selfcog.tokens.turns. Raises TemplateError when the tokenizer has no
    template, or one that cannot render a question and its answer.
    """

    def __init__(
        self, tokenizer: Any, *, system: str | None = None, enable_thinking: bool | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.system = system
        self.enable_thinking = enable_thinking
        added = tokenizer.added_tokens_decoder
        self._reader = TurnReader(
            ChatTemplate(_get_template(tokenizer), tokenizer.special_tokens_map),
            added_tokens=frozenset(token.content for token in added.values()),
            eos=tokenizer.eos_token,
            system=system,
            enable_thinking=enable_thinking,
        )
        newline, joined, alone = self._encode(["\n", "\na", "a"])
        # SentencePiece-like tokenizers put a blank before every text they are given.
        self._adds_blank = joined[len(newline) :] != alone
        end_ids = [token for token in self._encode([self._reader.end])[0] if token in added]
        stops = [*end_ids[:1], tokenizer.eos_token_id]
        self.stop_ids: tuple[int, ...] = tuple(
            dict.fromkeys(token for token in stops if token is not None)
        )

    def render(
        self,
        example: Example,
        max_length: int | None = None,
        truncation: Truncation = "delete",
    ) -> TokenizedExample | RejectedRow:
        """The row of the example's last learnt turn, with past turns learnt where that is exact.

        ``truncation`` of rows over ``max_length`` tokens: "delete" rejects them, "right" keeps the
        beginning (the end token is lost), "left" keeps the end (the system prompt is lost). A row
        without a learnt token is rejected.
        """
        return self._render_batch([example], max_length, truncation)[0][-1]

    def render_all(
        self,
        examples: Iterable[Example],
        max_length: int | None = None,
        truncation: Truncation = "delete",
    ) -> Rendered:
        """All rows of all examples, as ``render`` makes them, plus rows for past turns that cannot
        be learnt exactly where they stand."""
        result = Rendered()
        for batch in _batches(examples):
            for rows in self._render_batch(batch, max_length, truncation):
                result.num_split += len(rows) - 1
                for row in rows:
                    if isinstance(row, RejectedRow):
                        result.rejected.append(row)
                    else:
                        result.rows.append(row)
        return result

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The text that generation starts from. Raises TemplateError."""
        return self._reader.prompt(self._reader.prepare(messages), self.enable_thinking)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids that generation starts from: what training saw before an answer.

        For a model that can think this follows ``enable_thinking``; rows without thinking are
        learnt after the prompt of ``enable_thinking=False``. Raises TemplateError.
        """
        return self._encode([self.prompt_text(messages)])[0]

    def default_system(self) -> str | None:
        """The system text that the template adds where there is none; it is never learnt."""
        return self._reader.default_system()

    def show(self, row: TokenizedExample, *, colour: bool = True) -> str:
        """The row's text with its learnt tokens marked, see selfcog.tokens.view.show."""
        return view.show(self.tokenizer, row, colour=colour)

    def _render_batch(
        self, examples: Sequence[Example], max_length: int | None, truncation: Truncation
    ) -> list[list[TokenizedExample | RejectedRow]]:
        """For every example its rows, the last turn's at the end; never an empty list."""
        plans = [self._plan(example) for example in examples]
        turns = (
            turn for plan in plans if isinstance(plan, _Plan) for turn in (plan.last, *plan.earlier)
        )
        texts = list(dict.fromkeys(text for turn in turns for text in self._texts(turn)))
        ids = dict(zip(texts, self._encode(texts), strict=True))
        results: list[list[TokenizedExample | RejectedRow]] = []
        for plan in plans:
            if isinstance(plan, RejectedRow):
                results.append([plan])
                continue
            main, apart = self._assemble(plan, ids)
            rows = [self._assemble(_Plan(plan.example, turn, []), ids)[0] for turn in apart]
            results.append([_fit(row, max_length, truncation) for row in (*rows, main)])
        return results

    def _plan(self, example: Example) -> _Plan | RejectedRow:
        messages = self._reader.prepare(example.messages)
        learnt = [
            index
            for index, message in enumerate(messages)
            if message.role == "assistant" and message.train
        ]
        if not learnt:
            return RejectedRow(example.source, example.line, "no assistant turn is to be learnt")
        try:
            turns = [self._reader.read_turn(messages, index) for index in learnt]
        except TemplateError as error:
            return RejectedRow(example.source, example.line, str(error))
        return _Plan(example, turns[-1], turns[:-1])

    def _assemble(
        self, plan: _Plan, ids: Mapping[str, list[int]]
    ) -> tuple[TokenizedExample, list[Turn]]:
        """The row of the plan's last turn, and the earlier turns that cannot be learnt in it."""
        prompt, context, target = self._pieces(plan.last, ids)
        labels = [IGNORE_INDEX] * (len(prompt) + len(context)) + target
        apart = []
        for turn in plan.earlier:
            before, between, learnt = self._pieces(turn, ids)
            seen = before + between + learnt
            if prompt[: len(seen)] == seen:
                labels[len(seen) - len(learnt) : len(seen)] = learnt
            else:
                apart.append(turn)
        example = plan.example
        row = TokenizedExample(
            prompt + context + target, labels, example.kind, example.source, example.line
        )
        return row, apart

    def _texts(self, turn: Turn) -> tuple[str, str, str]:
        """What must be tokenised for a turn."""
        if self._adds_blank:
            return turn.prompt, turn.prompt + turn.context, turn.text
        return turn.prompt, turn.context, turn.target

    def _pieces(
        self, turn: Turn, ids: Mapping[str, list[int]]
    ) -> tuple[list[int], list[int], list[int]]:
        """Ids of prompt, context and target, with the boundaries that generation has."""
        prompt, second, third = (ids[text] for text in self._texts(turn))
        if not self._adds_blank:
            return prompt, second, third
        # A piece by itself would get a blank of its own, so it is cut from the whole text, unless
        # a token reaches over the boundary.
        start = len(prompt)
        context = second[start:] if second[:start] == prompt else self._encode_inner(turn.context)
        start += len(context)
        target = (
            third[start:] if third[:start] == prompt + context else self._encode_inner(turn.target)
        )
        return prompt, context, target

    def _encode_inner(self, text: str) -> list[int]:
        """Ids of a text that stands inside another one, without the blank put before it."""
        newline, joined, alone = self._encode(["\n", "\n" + text, text])
        return joined[len(newline) :] if joined[: len(newline)] == newline else alone

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        backend = self.tokenizer.backend_tokenizer
        # Somebody else's call on the same tokenizer may have left these switched on.
        backend.no_padding()
        backend.no_truncation()
        encodings = backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]


def _fit(
    row: TokenizedExample, max_length: int | None, truncation: Truncation
) -> TokenizedExample | RejectedRow:
    cut = row
    if max_length is not None and row.num_tokens > max_length:
        reason = f"{row.num_tokens} tokens > max_length {max_length}"
        if truncation == "delete":
            return RejectedRow(row.source, row.line, reason)
        part = slice(max_length) if truncation == "right" else slice(-max_length, None)
        labels = row.labels[part]
        labels[0] = IGNORE_INDEX  # nothing is left to predict it from
        cut = TokenizedExample(row.input_ids[part], labels, row.kind, row.source, row.line)
        if not cut.num_supervised:
            reason += f", and cut off at the {truncation} it has nothing left to learn"
            return RejectedRow(row.source, row.line, reason)
    if not cut.num_supervised:
        return RejectedRow(row.source, row.line, "no token is to be learnt")
    return cut


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    iterator = iter(examples)
    while batch := list(islice(iterator, BATCH_SIZE)):
        yield batch


def _get_template(tokenizer: Any) -> str:
    try:
        return tokenizer.get_chat_template()
    except ValueError:
        raise TemplateError(
            "the tokenizer has no chat template; use a chat model, or put a chat_template.jinja "
            "into the model folder"
        ) from None
