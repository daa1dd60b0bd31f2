"""The trainable weights, their gradient in one buffer, and AdamW.

All gradients are views into one flat float32 buffer: adding up over the ranks is one exchange
a step, and its norm and clipping are one kernel each. A few further numbers travel along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from selfcog.config.schema import TrainSection
from selfcog.errors import TrainError
from selfcog.train.dist import World

# What travels with the gradient: loss sum, correct tokens, computed positions, how many ranks were
# told to stop by which signal, the loss sum of the replay rows, the seconds of computing, and the
# squared norm of the gradients that are in shards.
LOSS, CORRECT, POSITIONS, SIGTERM, SIGINT, REPLAY_LOSS, BUSY, SQUARES = range(8)
NUM_SIDE_NUMBERS = 8


class TrainableWeights:
    """The parameters that are trained, as float32, and their gradient.

    ``buffer`` is the flat gradient followed by the side numbers. A step is: ``clear``, backward
    passes, ``add_up``, ``norm``, ``scale``, optimiser. Of a weight in shards (train/sharding.py)
    ``named`` has this rank's part as a plain tensor; its gradient comes first in the buffer, and
    is added up and shared out by the backward pass itself.
    """

    def __init__(
        self, model: nn.Module, own_dtypes: Mapping[str, torch.dtype] | None = None
    ) -> None:
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not trained:
            raise TrainError("the model has no trainable weights; add an adapter or train it fully")
        self.own_dtypes = {name: p.dtype for name, p in trained.items()} | dict(own_dtypes or {})
        self.shapes = {name: tuple(p.shape) for name, p in trained.items()}
        self.num_weights = sum(p.numel() for p in trained.values())
        self.sharded = {name: p for name, p in trained.items() if isinstance(p, DTensor)}
        parts = {name: nn.Parameter(p.to_local().detach()) for name, p in self.sharded.items()}
        self.num_sharded = sum(p.numel() for p in parts.values())
        self.num_here = self.num_sharded
        self.num_here += sum(p.numel() for name, p in trained.items() if name not in parts)
        device = next(iter(trained.values())).device
        self.buffer = torch.zeros(
            self.num_here + NUM_SIDE_NUMBERS, dtype=torch.float32, device=device
        )
        self.named = {name: parts.get(name, p) for name, p in trained.items()}
        start = 0
        for name, parameter in sorted(self.named.items(), key=lambda item: item[0] not in parts):
            # A bfloat16 weight would swallow most updates: they are below its resolution.
            if name not in parts:
                parameter.data = parameter.data.float().contiguous()
            end = start + parameter.numel()
            parameter.grad = self.buffer[start:end].view_as(parameter)
            if name in parts:
                self.sharded[name].grad = self._as_shard(name, parameter.grad)
            start = end

    @property
    def gradient(self) -> torch.Tensor:
        return self.buffer[: self.num_here]

    @property
    def side_numbers(self) -> torch.Tensor:
        return self.buffer[self.num_here :]

    def clear(self) -> None:
        self.buffer.zero_()

    def add_up(self, world: World) -> None:
        """Gradient and side numbers over all ranks, in one exchange."""
        if self.sharded:
            self.side_numbers[SQUARES] = self.buffer[: self.num_sharded].square().sum()
        world.add_up(self.buffer[self.num_sharded :])

    def norm(self) -> float:
        """Global L2 norm of the gradient; not finite if one number is not."""
        whole = torch.linalg.vector_norm(self.buffer[self.num_sharded : self.num_here])
        if not self.sharded:
            return float(whole)
        return float((whole.square() + self.side_numbers[SQUARES]).sqrt())

    def scale(self, factor: float) -> None:
        if factor != 1.0:
            self.gradient.mul_(factor)

    def whole(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """All of a weight or moment of which ``tensor`` is this rank's part; all ranks call it."""
        if name not in self.sharded or not tensor.ndim:
            return tensor.detach()
        return self._as_shard(name, tensor.detach()).full_tensor()

    def part(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """This rank's part of a whole weight or moment: the reverse of ``whole``."""
        if name not in self.sharded or not tensor.ndim:
            return tensor
        mesh = self.sharded[name].device_mesh
        rows = -(-len(tensor) // mesh.size())
        start = min(mesh.get_local_rank() * rows, len(tensor))
        return tensor[start : start + rows]

    def give_back_dtypes(self) -> None:
        """Weights in the dtype they came with, but for shards; gradients are dropped."""
        for name, parameter in self.named.items():
            parameter.grad = None
            if name in self.sharded:
                self.sharded[name].grad = None
            else:
                parameter.data = parameter.data.to(self.own_dtypes[name])

    def _as_shard(self, name: str, part: torch.Tensor) -> DTensor:
        like = self.sharded[name]
        return DTensor.from_local(
            part,
            like.device_mesh,
            like.placements,
            run_check=False,
            shape=like.shape,
            stride=like.stride(),
        )


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
            value = weights.part(name, tensors[f"{name}.{key}"])
            state[key] = value.to(parameter.device, copy=True)
