"""Shrinking or stretching a LoRA adapter on disk, so that every loader gets the same.

A LoRA update is a product of two matrices. Multiplying the second one by s moves every weight s
times as far from the base (interpolation after training: WiSE-FT, arXiv 2109.01903).
"""

from __future__ import annotations

import json
from pathlib import Path

from selfcog.errors import ExportError
from selfcog.export.adapter_plan import ADAPTER_WEIGHTS, read_adapter_config
from selfcog.runs import written_atomically

SECOND_MATRICES = ("lora_B", "lora_embedding_B")


def why_not_scalable(adapter: Path) -> str:
    """Why the adapter's effect is not proportional to one factor; "" when it is."""
    config = read_adapter_config(adapter)
    if config.get("modules_to_save"):
        return "it holds whole modules (--modules_to_save), which are no product of two matrices"
    if config.get("bias", "none") != "none":
        return "it holds trained biases, which are no product of two matrices"
    if config.get("use_dora"):
        return "DoRA's magnitudes do not shrink with it"
    return ""


def scale_adapter(adapter: Path, factor: float) -> None:
    """Multiply the adapter's update by ``factor``, in its own number format; atomic.

    Raises ExportError where one factor cannot do that.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    if reason := why_not_scalable(adapter):
        raise ExportError(f"{adapter} cannot be scaled: {reason}")
    path = adapter / ADAPTER_WEIGHTS
    tensors = load_file(path)
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata()
    for name, tensor in tensors.items():
        if any(part in name for part in SECOND_MATRICES):
            tensors[name] = (tensor.float() * factor).to(tensor.dtype)
    note = json.loads((metadata or {}).get("selfcog", "{}"))
    note["scale"] = note.get("scale", 1.0) * factor
    with written_atomically(path) as new:
        save_file(tensors, new, {**(metadata or {}), "selfcog": json.dumps(note)})
