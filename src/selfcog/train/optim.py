"""The trainable weights, their gradient in one buffer, and AdamW.

All gradients are views into one flat float32 buffer: adding up over the ranks is one exchange
a step, and its norm and clipping are one kernel each. A few further numbers travel along.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from selfcog.config.schema import TrainSection
from selfcog.errors import TrainError

# What travels with the gradient: loss sum, correct tokens, computed positions, how many ranks were
# told to stop by which signal, the loss sum of the replay rows, and the seconds of computing.
LOSS, CORRECT, POSITIONS, SIGTERM, SIGINT, REPLAY_LOSS, BUSY = range(7)
NUM_SIDE_NUMBERS = 7


class TrainableWeights:
    """The parameters that are trained, as float32, and their gradient.

    ``buffer`` is the flat gradient followed by the side numbers. A step is: ``clear``, backward
    passes, add up ``buffer`` over the ranks, ``norm``, ``scale``, optimiser.
    """

    def __init__(self, model: nn.Module) -> None:
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.named:
            raise TrainError("the model has no trainable weights; add an adapter or train it fully")
        device = next(iter(self.named.values())).device
        self.num_weights = sum(p.numel() for p in self.named.values())
        self.buffer = torch.zeros(
            self.num_weights + NUM_SIDE_NUMBERS, dtype=torch.float32, device=device
        )
        self.own_dtypes = {name: p.dtype for name, p in self.named.items()}
        start = 0
        for parameter in self.named.values():
            # A bfloat16 weight would swallow most updates: they are below its resolution.
            parameter.data = parameter.data.float().contiguous()
            end = start + parameter.numel()
            parameter.grad = self.buffer[start:end].view_as(parameter)
            start = end

    @property
    def gradient(self) -> torch.Tensor:
        return self.buffer[: self.num_weights]

    @property
    def side_numbers(self) -> torch.Tensor:
        return self.buffer[self.num_weights :]

    def clear(self) -> None:
        self.buffer.zero_()

    def norm(self) -> float:
        """Global L2 norm of the gradient; not finite if one number is not."""
        return float(torch.linalg.vector_norm(self.gradient))

    def scale(self, factor: float) -> None:
        if factor != 1.0:
            self.gradient.mul_(factor)

    def give_back_dtypes(self) -> None:
        """Weights in the dtype they came with; gradients are dropped."""
        for name, parameter in self.named.items():
            parameter.grad = None
            parameter.data = parameter.data.to(self.own_dtypes[name])


def clip_factor(norm: float, max_norm: float) -> float:
    """Factor that brings a gradient of ``norm`` down to ``max_norm``; 1 if it is below, or 0."""
    return 1.0 if max_norm <= 0 or norm <= max_norm else max_norm / norm


def make_optimizer(weights: TrainableWeights, settings: TrainSection) -> torch.optim.AdamW:
    """AdamW; biases, norms and other vectors are not decayed. The loop sets the rate."""
    matrices = [p for p in weights.named.values() if p.ndim > 1]
    vectors = [p for p in weights.named.values() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, weights: TrainableWeights
) -> dict[str, torch.Tensor]:
    """Moments and step counts by parameter name: ``<name>.exp_avg`` and so on."""
    return {
        f"{name}.{key}": value
        for name, parameter in weights.named.items()
        for key, value in optimizer.state[parameter].items()
    }


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer,
    weights: TrainableWeights,
    tensors: dict[str, torch.Tensor],
) -> None:
    """The reverse of ``optimizer_tensors``."""
    for name, parameter in weights.named.items():
        state: dict[str, Any] = optimizer.state[parameter]
        for key in ("step", "exp_avg", "exp_avg_sq"):
            state[key] = tensors[f"{name}.{key}"].to(parameter.device)
