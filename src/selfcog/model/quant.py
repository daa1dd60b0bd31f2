"""A frozen base in 4 bits while its adapter is trained (QLoRA, arXiv 2305.14314), by bitsandbytes.

Layers are NormalFloat4 with doubly quantised scales, half a byte a weight and a little; products
are computed in 16 bits. Embedding, norms and output head stay as they are. The adapter is an
ordinary one, and is merged into the unquantised base.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from selfcog.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import torch

NOTICE = (
    "--quant_bits 4: the base is in 4 bits while the adapter is trained; the scorecard and selfcog "
    "export take the base as it is, in 16 bits"
)


def check_quantization() -> None:
    """Raises ConfigError without an NVIDIA GPU, MissingExtraError without bitsandbytes."""
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            f"--quant_bits 4 needs an NVIDIA GPU, and torch {torch.__version__} finds none; leave "
            "it out, or run this where there is one"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtraError(
            "--quant_bits 4 needs a package that is not installed: pip install 'selfcog[quant]'"
        )


def quantized_options(dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """What transformers' ``from_pretrained`` needs to load a model in 4 bits onto ``device``."""
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": device}}


def count_weights(parameter: torch.Tensor) -> int:
    """Single weights in a parameter; bitsandbytes packs two of them into a byte."""
    if type(parameter).__name__ == "Params4bit":
        state: Any = parameter
        return int(state.quant_state.shape.numel())
    return parameter.numel()
