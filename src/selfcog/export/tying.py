"""Embeddings and output heads that share one matrix, when an adapter touches them.

A base whose ``tie_word_embeddings`` is true stores one matrix and uses it twice. An adapter may
change the embedding alone, the head alone, or both. The merged model must compute what base and
adapter compute, so the two are stored apart wherever they are no longer equal. (peft's own merge
adds a LoRA of either to the shared matrix, and one of both twice.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.export.adapter_plan import AdapterPlan, Patch
from selfcog.export.patch import load_tensor
from selfcog.export.shards import StoredTensor

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tying:
    """``added``: head tensors to write, by name, with the base tensor that they start from.

    ``dropped``: a stored copy of the head that would no longer equal the embedding.
    ``config_changes`` go into config.json; ``unsupported`` is "" or why peft must merge.
    """

    added: dict[str, StoredTensor] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    config_changes: dict[str, Any] = field(default_factory=dict)
    unsupported: str = ""


def resolve_tying(
    base: Path,
    plan: AdapterPlan,
    stored: Mapping[str, StoredTensor],
    trust_remote_code: bool = False,
) -> Tying:
    """How to store embedding and head. Takes the head's patch out of ``plan`` if they stay tied."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(
        base, local_files_only=True, trust_remote_code=trust_remote_code
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    modules = {id(module): name for name, module in model.named_modules()}
    head_module = modules.get(id(model.get_output_embeddings()))
    embedding = f"{modules[id(model.get_input_embeddings())]}.weight"
    head = f"{head_module}.weight"
    touched = {embedding, head} & set(plan.patches)
    missing = [name for name in plan.patches if name not in stored and name != head]
    if missing:
        return Tying(unsupported=f"the base has no tensor {missing[0]}")
    if not touched or not config.get_text_config().tie_word_embeddings:
        return Tying(unsupported="" if not touched or head in stored else f"no {head} in the base")
    if config.get_text_config() is not config:
        return Tying(unsupported="embeddings are tied in a part of a larger model")
    if embedding not in stored:
        return Tying(unsupported=f"the base has no tensor {embedding}")
    if touched == {embedding, head} and same_patch(plan.patches[embedding], plan.patches[head]):
        del plan.patches[head]
        return Tying(dropped={head})
    # Loaders ignore a stored head while the two are tied: both start from the embedding.
    return Tying(added={head: stored[embedding]}, config_changes={"tie_word_embeddings": False})


def same_patch(embedding: Patch, head: Patch) -> bool:
    """Whether both become the same matrix: the factors of one are the other's, transposed."""
    import torch

    def equal(one: StoredTensor | None, other: StoredTensor | None, *, transposed: bool) -> bool:
        if one is None or other is None:
            return one is other
        first: Tensor = load_tensor(one)
        second: Tensor = load_tensor(other)
        return torch.equal(first.T if transposed else first, second)

    turned = embedding.embedding and not head.embedding
    return (
        embedding.scaling == head.scaling
        and equal(embedding.a, head.b if turned else head.a, transposed=turned)
        and equal(embedding.b, head.a if turned else head.b, transposed=turned)
        and equal(embedding.replacement, head.replacement, transposed=False)
        and equal(embedding.magnitude, head.magnitude, transposed=False)
    )
