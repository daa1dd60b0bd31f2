"""LoRA adapters through peft: which layers, adding, loading, switching off, counting.

The base weights stay frozen and untouched, so that the base model is the tuned one with its
adapter off.
"""

from __future__ import annotations

import contextlib
import difflib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.config.schema import AdapterSection
from selfcog.errors import ConfigError, ModelError, first_line
from selfcog.model.quant import count_weights

if TYPE_CHECKING:
    from torch import nn

ALL_LINEAR = "all-linear"
DEFAULT = "default"
EMBEDDING = "embedding"
# The layers that make queries, keys and values: apart (Llama, Qwen2 …), or fused into one
# (GPT-2, Phi-3, Baichuan, GPT-NeoX, InternLM2).
ATTENTION_INPUTS = frozenset(
    {"q_proj", "k_proj", "v_proj", "c_attn", "qkv_proj", "W_pack", "query_key_value", "wqkv"}
)


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Numbers of single weights. Tied weights count once."""

    trainable: int
    total: int


def add_adapter(model: nn.Module, settings: AdapterSection) -> Any:
    """``model`` with a new LoRA adapter (a PeftModel in eval mode); only the adapter is trainable.

    The adapter's weights are float32 whatever the base's dtype. With ``settings.adapters`` the
    adapter of that folder goes on instead, with its own rank and layers.
    Raises ConfigError for names that match no layer, ModelError for an adapter that does not fit.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    if settings.adapters is not None:
        return load_adapter(model, Path(settings.adapters).expanduser(), is_trainable=True)
    _check_modules_to_save(model, settings.modules_to_save)
    targets = resolve_targets(model, settings.target_modules)
    alpha = settings.lora_alpha if settings.lora_alpha is not None else 2.0 * settings.lora_rank
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.lora_rank,
        lora_alpha=int(alpha) if alpha == int(alpha) else alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        modules_to_save=list(settings.modules_to_save) or None,
        init_lora_weights=True if settings.init_weights == "true" else settings.init_weights,
        # A tied output head must change along with the embedding, or a merge could not be exact.
        ensure_weight_tying=_touches_tied_embedding(model, targets, settings.modules_to_save),
    )
    with _without_peft_warnings():
        tuned = get_peft_model(model, config, autocast_adapter_dtype=True)
    return tuned.eval()


def load_adapter(model: nn.Module, path: str | Path, *, is_trainable: bool = False) -> Any:
    """``model`` with the adapter of a folder (a PeftModel in eval mode).

    Raises ModelError when the folder is no LoRA adapter or does not fit the model: no weight may
    be left at its initial value. Warns when the adapter changes nothing.
    """
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    folder = Path(path)
    weights = folder / "adapter_model.safetensors"
    for file in (folder / "adapter_config.json", weights):
        if not file.is_file():
            raise ModelError(f"{folder} is no adapter folder: it has no {file.name}")
    config = PeftConfig.from_pretrained(str(folder))
    if config.peft_type != "LORA":
        raise ModelError(f"{folder} is a {config.peft_type} adapter; only LoRA can be used")
    try:
        with _without_peft_warnings():
            tuned = PeftModel.from_pretrained(model, str(folder), is_trainable=is_trainable)
    except (RuntimeError, ValueError) as error:
        reason = first_line(error)
        raise ModelError(f"adapter {folder} does not fit this base model: {reason}") from error
    with safe_open(str(weights), framework="pt") as file:
        saved = set(file.keys())
    wanted = set(get_peft_model_state_dict(tuned))
    if not wanted <= saved:
        missing = sorted(wanted - saved)
        raise ModelError(
            f"adapter {folder} has no weights for {len(missing)} of {len(wanted)} tensors "
            f"({missing[0]}); it is for another model or damaged"
        )
    if is_zero_adapter(tuned):
        warnings.warn(f"adapter {folder} is all zero: it answers as its base does", stacklevel=2)
    return tuned.eval()


@contextlib.contextmanager
def adapter_off(model: Any) -> Iterator[Any]:
    """Inside the block ``model`` (a PeftModel) computes exactly what its base does."""
    with model.disable_adapter():
        yield model


def is_zero_adapter(model: Any) -> bool:
    """True when every LoRA product is zero and no whole module was saved along with it."""
    names = ("lora_B", "lora_embedding_B")
    for name, parameter in model.named_parameters():
        if "modules_to_save" in name or "lora_magnitude_vector" in name:
            return False
        if any(part in name for part in names) and parameter.count_nonzero():
            return False
    return True


def count_parameters(model: nn.Module) -> ParameterCount:
    """Trainable and all weights of ``model``, adapters included."""
    parameters = list(model.parameters())
    trainable = sum(item.numel() for item in parameters if item.requires_grad)
    return ParameterCount(trainable, sum(count_weights(item) for item in parameters))


def resolve_targets(model: nn.Module, target_modules: Sequence[str]) -> list[str]:
    """Module names for peft: leaf names such as ``q_proj`` where they are unambiguous.

    ``all-linear``: every linear layer but the output head. ``default``: what makes queries, keys
    and values. ``embedding``: the input embedding. Anything else is a module name or the end of
    one ("q_proj", "mlp.down_proj", "layers.0.self_attn.q_proj").
    Raises ConfigError for a name that matches nothing, with the names there are.
    """
    linear = _linear_names(model)
    embedding, head = _embedding_names(model)
    wanted: set[str] = set()
    for target in target_modules:
        word = target.lower()
        if word == ALL_LINEAR:
            found = {name for name in linear if name != head}
        elif word == DEFAULT:
            found = {name for name in linear if name.rpartition(".")[2] in ATTENTION_INPUTS}
        elif word == EMBEDDING:
            found = {embedding}
        else:
            found = {name for name in (*linear, embedding) if _ends_with(name, target)}
        if not found:
            leaves = sorted({name.rpartition(".")[2] for name in (*linear, embedding)})
            near = difflib.get_close_matches(target, leaves, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"--target_modules {target} matches no layer of this model{hint} "
                f"Layers: {', '.join(leaves)}; or all-linear, default, embedding"
            )
        wanted |= found
    leaves = sorted({name.rpartition(".")[2] for name in wanted})
    reached = {name for name, _ in model.named_modules() if _matches_any(name, leaves)}
    return leaves if reached == wanted else sorted(wanted)


@contextlib.contextmanager
def _without_peft_warnings() -> Iterator[None]:
    """Hides the warnings about what this module takes care of itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found missing adapter keys")
        warnings.filterwarnings("ignore", "Model with `tie_word_embeddings=True`")
        warnings.filterwarnings("ignore", "`?is_gradient_checkpointing`?", FutureWarning)
        yield


def _ends_with(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _matches_any(name: str, targets: Sequence[str]) -> bool:
    return any(_ends_with(name, target) for target in targets)


def _linear_names(model: nn.Module) -> list[str]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return [name for name, part in model.named_modules() if isinstance(part, (nn.Linear, Conv1D))]


def _embedding_names(model: Any) -> tuple[str, str | None]:
    """Module names of the input embedding and of the output head."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    return names[id(embedding)], names.get(id(head))


def _touches_tied_embedding(
    model: Any, targets: Sequence[str], modules_to_save: Sequence[str]
) -> bool:
    if not model.config.get_text_config().tie_word_embeddings:
        return False
    embedding, _ = _embedding_names(model)
    return _matches_any(embedding, [*targets, *modules_to_save])


def _check_modules_to_save(model: nn.Module, names: Sequence[str]) -> None:
    existing = [name for name, _ in model.named_modules() if name]
    for wanted in names:
        if not any(_ends_with(name, wanted) for name in existing):
            leaves = sorted({name.rpartition(".")[2] for name in existing})
            kept = [leaf for leaf in leaves if not leaf.isdigit()]
            raise ConfigError(
                f"--modules_to_save {wanted} is no module of this model; there are: "
                f"{', '.join(kept)}"
            )
