"""One forward pass: from a micro-batch to the loss of its supervised tokens.

``prepare`` finds out once, on a dozen random tokens, how this model can be run: whether packed
conversations stay apart, and whether the head can be applied to chosen positions only. What does
not give the plain forward's numbers is not used.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from selfcog.model.agreement import is_close
from selfcog.train.attention import (
    AttentionMode,
    attention_arguments,
    candidate_modes,
    use_segments,
)
from selfcog.train.batches import MicroBatch, collate_packed, pack_examples, pad_examples
from selfcog.train.lora import FusedLora
from selfcog.train.loss import (
    CHUNK_LOGITS_CPU,
    TokenLoss,
    anchor_loss,
    num_logits,
    token_loss,
)
from selfcog.types import TokenizedExample

# chunked: hidden states, then the head chunk by chunk. selected: the model's own logits, at the
# supervised positions. all: its logits everywhere, then gathered.
HeadMode = Literal["chunked", "selected", "all"]
PROBE_LENGTHS = (7, 5)
# Faults by which a model says that it cannot be called in some way.
CALL_FAULTS = (TypeError, ValueError, KeyError, IndexError, RuntimeError)


@dataclass(slots=True)
class Forward:
    """How micro-batches are made and run for one model. ``token_budget``: positions a batch."""

    model: Any
    base: Any
    own_attention: str | None
    attention: AttentionMode
    head: HeadMode
    token_budget: int
    compute_dtype: torch.dtype
    max_padded_rows: int | None = None
    pad_id: int = 0
    checkpointing: bool = False
    fused_lora: FusedLora | None = None

    def batches(
        self, examples: Sequence[TokenizedExample], max_rows: int | None = None
    ) -> list[MicroBatch]:
        """The micro-batches of ``examples``; ``max_rows`` bounds padded ones."""
        if self.attention == "padded":
            rows = max_rows or self.max_padded_rows
            return pad_examples(examples, self.token_budget, rows, self.pad_id)
        return pack_examples(examples, self.token_budget)

    def loss(self, batch: MicroBatch) -> TokenLoss:
        """Summed loss of ``batch``, which lies on the model's device: KL to its teacher, or
        cross-entropy where it has none."""
        with self._autocast():
            states_NH, head = self._states(batch)
            if batch.teacher is not None:
                return anchor_loss(states_NH, batch.teacher, head)
            return token_loss(states_NH, batch.targets_N, head, weights_N=batch.weights_N)

    def log_probabilities(self, batch: MicroBatch) -> Iterator[torch.Tensor]:
        """The model's log p of every token at the targets of ``batch``, [C, V] float32, in chunks
        that fit into memory. Without gradients."""
        with torch.no_grad(), self._autocast():
            states_NH, head = self._states(batch)
            width = states_NH.shape[-1] if head is None else num_logits(head, states_NH)
            for states_CH in states_NH.split(max(CHUNK_LOGITS_CPU // width, 16)):
                logits_CV = states_CH if head is None else head(states_CH)
                yield torch.log_softmax(logits_CV, -1, dtype=torch.float32)

    def _states(self, batch: MicroBatch) -> tuple[torch.Tensor, nn.Module | None]:
        """Hidden states at the targets and the head that makes logits of them; or the logits."""
        if self.head == "chunked":
            hidden_BTH = self._run(self.base.get_decoder(), batch)[0]
            hidden_NH = hidden_BTH.flatten(0, 1).index_select(0, batch.target_index_N)
            return hidden_NH, self.base.get_output_embeddings()
        if self.head == "selected" and batch.attention_mask_BT is None:
            return self._run(self.model, batch, logits_to_keep=batch.target_index_N).logits[0], None
        logits_BTV = self._run(self.model, batch).logits
        return logits_BTV.flatten(0, 1).index_select(0, batch.target_index_N), None

    def set_checkpointing(self) -> None:
        """Compute activations a second time in the backward pass instead of keeping them."""
        with _ignored_renaming():
            self.base.gradient_checkpointing_enable({"use_reentrant": False})
        self.checkpointing = True

    def restore(self) -> None:
        """Give the model back the attention function it came with, peft's own layers, and no
        checkpointing."""
        if self.fused_lora is not None:
            self.fused_lora.restore()
            self.fused_lora = None
        if self.checkpointing:
            with _ignored_renaming():
                self.base.gradient_checkpointing_disable()
            self.checkpointing = False
        if self.base.config._attn_implementation != self.own_attention:
            self.base.set_attn_implementation(self.own_attention)

    def _run(self, module: Any, batch: MicroBatch, **extra: Any) -> Any:
        arguments = attention_arguments(batch, self.attention)
        return module(input_ids=batch.input_ids_BT, use_cache=False, **arguments, **extra)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.compute_dtype == torch.float32:
            return nullcontext()
        # Without a cache: every weight is cast once a pass anyway, and the chunked loss
        # differentiates inside the pass.
        device = self.model.device.type
        return torch.autocast(device, dtype=self.compute_dtype, cache_enabled=False)


def prepare(
    model: Any,
    *,
    token_budget: int,
    longest_row: int,
    packing: bool = True,
    max_padded_rows: int | None = None,
    pad_id: int = 0,
    compute_dtype: torch.dtype = torch.float32,
) -> tuple[Forward, list[str]]:
    """The best way to run ``model`` that passes the check, and a notice where a better one failed.

    ``longest_row`` in tokens, over all rows of the training. The model may be left with another
    attention function; ``Forward.restore`` undoes that.
    """
    base = base_model(model)
    own = base.config._attn_implementation
    forward = Forward(
        model, base, own, "padded", "all", token_budget, compute_dtype, max_padded_rows, pad_id
    )
    failed: list[str] = []
    was_training = model.training
    model.eval()
    with torch.no_grad():
        probe = _Probe(forward)
        forward.head = probe.best_head()
        for mode in candidate_modes(base, longest_row, packing):
            forward.attention = mode
            if mode == "padded" or ((mode != "segments" or use_segments(base)) and probe.agrees()):
                break
            forward.restore()
            failed.append(mode)
        probe.fuse_lora()
    model.train(was_training)
    if not failed:
        return forward, []
    instead = "rows are padded, which is slower" if mode == "padded" else "a mask is used"
    notice = f"packed rows do not give this model's own numbers ({', '.join(failed)}); {instead}"
    return forward, [notice]


def base_model(model: Any) -> Any:
    """The transformers model inside a PeftModel, or ``model`` itself."""
    from peft import PeftModel

    return model.get_base_model() if isinstance(model, PeftModel) else model


@contextmanager
def _ignored_renaming() -> Iterator[None]:
    """transformers 5.23 has new names for these methods, which 5.0 does not know."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`gradient_checkpointing", FutureWarning)
        yield


class _Probe:
    """Compares ways of calling a model on a few random tokens."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        size = forward.base.get_input_embeddings().weight.shape[0]
        generator = torch.Generator().manual_seed(0)

        def row(length: int) -> TokenizedExample:
            ids = torch.randint(0, size, (length,), generator=generator).tolist()
            return TokenizedExample(ids, ids)

        first, second = PROBE_LENGTHS
        self.rows = [row(first), row(second)]
        self.other_first = row(first)

    def best_head(self) -> HeadMode:
        """The cheapest head whose logits are the model's own."""
        forward = self.forward
        decoder, head = forward.base.get_decoder(), forward.base.get_output_embeddings()
        [batch] = pad_examples(self.rows[:1], PROBE_LENGTHS[0])
        batch = batch.to(forward.model.device)
        with forward._autocast():
            wanted = forward._run(forward.model, batch).logits
            has_parts = isinstance(decoder, nn.Module) and decoder is not forward.base
            # Exactly equal, or the model does something to its logits after the head.
            if (
                has_parts
                and head is not None
                and torch.equal(head(forward._run(decoder, batch)[0]), wanted)
            ):
                return "chunked"
            if "logits_to_keep" not in inspect.signature(forward.base.forward).parameters:
                return "all"
            index = torch.tensor([1, 4], device=wanted.device)
            try:
                found = forward._run(forward.model, batch, logits_to_keep=index).logits
            except CALL_FAULTS:
                return "all"
            right = found.shape[1] == 2 and self._close(found, wanted[:, index])
            return "selected" if right else "all"

    def fuse_lora(self) -> None:
        """Compute plain LoRA layers without peft's detours, where that gives the same logits."""
        [batch] = self.forward.batches(self.rows[:1])
        batch = batch.to(self.forward.model.device)
        with self.forward._autocast():
            wanted = self.forward._run(self.forward.model, batch).logits
            fused = FusedLora(self.forward.model)
            if fused.layers and self._close(
                self.forward._run(self.forward.model, batch).logits, wanted
            ):
                self.forward.fused_lora = fused
            else:
                fused.restore()

    def agrees(self) -> bool:
        """True when packed rows give what each gives by itself, untouched by their neighbour."""
        try:
            packed = self._logits(self.rows)
            touched = self._logits([self.other_first, self.rows[1]])
        except CALL_FAULTS:
            return False
        first = PROBE_LENGTHS[0]
        alone = torch.cat([self._logits_alone(row) for row in self.rows])
        # Same shapes and kernels: a neighbour that is not seen changes hardly a bit.
        separate = self._close(touched[first:], packed[first:], strictness=5.0)
        return separate and self._close(packed, alone)

    def _close(self, found: torch.Tensor, wanted: torch.Tensor, strictness: float = 1.0) -> bool:
        return is_close(found, wanted, self.forward.compute_dtype, strictness)

    def _logits(self, rows: list[TokenizedExample]) -> torch.Tensor:
        batch = collate_packed(rows).to(self.forward.model.device)
        with self.forward._autocast():
            return self.forward._run(self.forward.model, batch).logits[0]

    def _logits_alone(self, row: TokenizedExample) -> torch.Tensor:
        ids = torch.tensor([row.input_ids], device=self.forward.model.device)
        with self.forward._autocast():
            return self.forward.model(input_ids=ids, use_cache=False).logits[0]
