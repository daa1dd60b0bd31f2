"""The next tokens from logits: the likeliest, or drawn with one random number a text and token.

The random numbers of a text come from the seed and the text's place among all prompts, whatever
shares its batch: the same seed gives the same answers at every batch size (to rounding, which may
turn a near-tie).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. ``temperature`` 0 takes the likeliest (greedy).

    ``top_k`` 0 and ``top_p`` 1 set no limit. ``seed`` None draws one from torch's random state.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None


class Chooser:
    """Chooses tokens as ``sampling`` says. Raises ValueError for settings out of range.

    Penalties and limits are transformers' own, in its order.
    """

    def __init__(self, sampling: Sampling) -> None:
        import torch
        from transformers.generation import logits_process

        self.is_greedy = sampling.temperature == 0
        self.warpers: list[Any] = []
        if sampling.repetition_penalty != 1:
            penalty = float(sampling.repetition_penalty)
            self.warpers.append(logits_process.RepetitionPenaltyLogitsProcessor(penalty))
        self.needs_texts = bool(self.warpers)
        if not self.is_greedy:
            if sampling.temperature != 1:
                temperature = float(sampling.temperature)
                self.warpers.append(logits_process.TemperatureLogitsWarper(temperature))
            if sampling.top_k:
                self.warpers.append(logits_process.TopKLogitsWarper(sampling.top_k))
            if sampling.top_p != 1:
                self.warpers.append(logits_process.TopPLogitsWarper(sampling.top_p))
        self.seed = sampling.seed
        if self.seed is None and not self.is_greedy:
            self.seed = int(torch.randint(2**62, ()))

    def numbers_for(self, place: int) -> random.Random:
        """The random numbers of the prompt at ``place``; they are not torch's."""
        return random.Random(f"{self.seed}/{place}")

    def choose(
        self,
        logits_NV: torch.Tensor,
        texts: Sequence[Sequence[int]],
        numbers: Sequence[random.Random],
    ) -> list[int]:
        """One token id for each of N texts. ``texts``: all ids so far, looked at only where
        repetition is penalised; ``numbers``: of each text, used only when sampling."""
        import torch

        if self.warpers:
            ids_NT = self._rectangle(texts, logits_NV) if self.needs_texts else None
            logits_NV = logits_NV.float()
            for warper in self.warpers:
                logits_NV = warper(ids_NT, logits_NV)
        if self.is_greedy:
            # The first of several, as argmax, which takes four times as long in bfloat16 on a CPU.
            found_N: torch.Tensor = logits_NV.max(-1).indices
        else:
            # float64: a sum of 150,000 probabilities must not depend on where the small ones stand.
            heights_NV = logits_NV.softmax(-1, dtype=torch.float32).cumsum(-1, dtype=torch.float64)
            draws = [[number.random()] for number in numbers]
            draws_N1 = torch.tensor(draws, dtype=torch.float64, device=logits_NV.device)
            draws_N1 = draws_N1 * heights_NV[:, -1:]
            found_N = torch.searchsorted(heights_NV, draws_N1, right=True)[:, 0]
        chosen: list[int] = found_N.tolist()
        return chosen

    @staticmethod
    def _rectangle(texts: Sequence[Sequence[int]], like: torch.Tensor) -> torch.Tensor:
        """The texts as [N, T]; short ones repeat their first token, which is there anyway."""
        import torch

        width = max(len(text) for text in texts)
        rows = [[*text, *[text[0]] * (width - len(text))] for text in texts]
        return torch.tensor(rows, device=like.device)
