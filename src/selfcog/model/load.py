"""Loading a tokenizer or a model from a folder, without noise, pickles, network or remote code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfcog.errors import ModelError, first_line
from selfcog.model.locate import MODEL_CONFIG, check_weights, read_json
from selfcog.model.quant import quantized_options
from selfcog.startup import preload

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
# 34 M parameters in bfloat16.
LARGE_BYTES = 2**26
# Tokens that tokenizers without a pad token often have for no other use.
PAD_CANDIDATES = ("<pad>", "[PAD]", "<|pad|>", "<|endoftext|>", "<|finetune_right_pad_id|>")

VOCABULARY_FILES = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json")


def load_tokenizer(path: str | Path, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model folder, with a pad token and right padding.

    Padding is never trained: labels are set by position, so that a pad token which is also the
    end token does no harm. Raises ModelError.
    """
    preload("transformers.models.auto.tokenization_auto")
    from transformers import AutoTokenizer

    folder = _check_folder(path)
    # Without them transformers 5 makes up a tokenizer with an empty vocabulary.
    if not any(any(folder.glob(pattern)) for pattern in VOCABULARY_FILES):
        raise ModelError(f"{folder} has no tokenizer (no tokenizer.json); copy it from the base")
    with _quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise _explain(error, folder, "tokenizer", trust_remote_code) from error
    if not tokenizer.is_fast:
        raise ModelError(f"{folder} has no fast tokenizer; save one there as tokenizer.json")
    if tokenizer.pad_token_id is None:
        vocabulary = tokenizer.get_vocab()
        known = [token for token in PAD_CANDIDATES if token in vocabulary]
        pad = known[0] if known else tokenizer.eos_token or tokenizer.unk_token
        if pad is None:
            raise ModelError(f"the tokenizer of {folder} has neither a pad nor an end token")
        tokenizer.pad_token = pad
    tokenizer.padding_side = "right"
    return tokenizer


def load_model(
    path: str | Path,
    *,
    torch_dtype: str = "auto",
    device: str | torch.device | None = None,
    trust_remote_code: bool = False,
    attn_impl: str | None = None,
    in_4_bits: bool = False,
) -> Any:
    """The causal language model of a folder, in eval mode, on ``device``.

    ``torch_dtype`` "auto": see ``choose_dtype``. ``device`` None: the current GPU if there is one.
    ``in_4_bits``: see ``selfcog.model.quant``; ``torch_dtype`` is then what is computed in.
    Raises ModelError, also where the files lack weights that transformers would silently fill
    with random numbers.
    """
    preload("torch", "transformers.modeling_utils")
    import torch
    from transformers import AutoModelForCausalLM

    folder = _check_folder(path)
    check_weights(folder)
    place = choose_device(device)
    options: dict[str, Any] = {} if attn_impl is None else {"attn_implementation": attn_impl}
    dtype = choose_dtype(torch_dtype, place, folder)
    if in_4_bits:
        options |= quantized_options(dtype, place)
    with _quiet_transformers():
        try:
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                **options,
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise _explain(error, folder, "model", trust_remote_code) from error
        except RuntimeError as error:  # tensors of another shape than config.json says
            raise ModelError(f"{folder} cannot be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{folder} lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}); "
            "the folder is incomplete or its config.json is of another model"
        )
    if not in_4_bits:  # those are there already, and refuse to move
        model = model.to(torch.device(place))
    return model.eval()


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """``device``, or the current GPU if there is one, else the CPU."""
    import torch

    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def choose_dtype(name: str, device: torch.device, folder: Path | None = None) -> torch.dtype:
    """The dtype for "auto" or one of DTYPES. Raises ModelError for other names.

    "auto" on a GPU: bfloat16 if it has it, else float16. On a CPU float32, but for a large model
    (LARGE_BYTES) whose files in ``folder`` are in bfloat16 already, where the processor multiplies
    that by itself: a step of 0.5 B parameters is then 1.2 times as fast, in three quarters of the
    memory, one of 45 M 1.1 times; 7 M gain 5 %, and would notice the rounding most.
    """
    import torch

    dtypes = {dtype: getattr(torch, dtype) for dtype in DTYPES}
    if name in dtypes:
        return dtypes[name]
    if name != "auto":
        raise ModelError(f"torch_dtype {name!r} is unknown; use auto, {', '.join(DTYPES)}")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and folder is not None and has_cpu_bfloat16():
        return torch.bfloat16 if _is_large_bfloat16(folder) else torch.float32
    return torch.float32


def has_cpu_bfloat16() -> bool:
    """True where this processor has instructions for matrix products in bfloat16."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _is_large_bfloat16(folder: Path) -> bool:
    config = read_json(folder / MODEL_CONFIG)
    own = config.get("dtype") or config.get("torch_dtype")
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return own == "bfloat16" and size >= LARGE_BYTES


def _check_folder(path: str | Path) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} not found; hub ids are fetched first")
    return folder


def _explain(error: Exception, folder: Path, what: str, trusted: bool) -> ModelError:
    text = str(error)
    if "trust_remote_code" in text and not trusted:
        return ModelError(
            f"the {what} in {folder} needs Python code that comes with it; read that code and "
            "pass --trust_remote_code true if you trust it"
        )
    if isinstance(error, KeyError):
        return ModelError(f"the {what} in {folder} has no entry {error}; its files are incomplete")
    return ModelError(f"the {what} in {folder} cannot be loaded: {first_line(error)}")


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars and only errors from transformers while it loads."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    shows_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shows_bars:
            logging.enable_progress_bar()
