"""The ranks of a training: who am I, and the few things that ranks say to each other.

Process state comes from accelerate, which knows the launchers and devices. Started without
``torchrun`` there is one rank and every exchange is a no-op.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from selfcog.errors import TrainError, first_line

# Ranks wait for rank 0 while it generates answers or writes a large checkpoint.
EXCHANGE_TIMEOUT = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class World:
    """All ranks of this training. ``rank`` counts over all nodes from 0."""

    rank: int
    size: int
    device: torch.device
    notices: tuple[str, ...] = ()

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def add_up(self, tensor: torch.Tensor) -> None:
        """Replace ``tensor`` on every rank by the sum over the ranks, in place.

        Raises TrainError when a rank has died.
        """
        if self.size == 1:
            return
        try:
            dist.all_reduce(tensor, dist.ReduceOp.SUM)
        except RuntimeError as error:  # what the backends raise when a connection breaks
            reason = first_line(error)
            raise TrainError(f"rank {self.rank} lost the other ranks: {reason}") from error

    def finish_computing(self) -> None:
        """Wait until this rank's GPU has done what it was given, so that clocks mean something."""
        if self.size > 1 and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def copy_from_main(self, tensor: torch.Tensor) -> None:
        """Overwrite ``tensor`` on every rank with rank 0's, in place."""
        if self.size > 1:
            dist.broadcast(tensor, src=0)

    def highest(self, number: int) -> int:
        """The largest ``number`` of all ranks, on every rank."""
        if self.size == 1:
            return number
        tensor = torch.tensor([number], device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor.item())

    def share(self, value: Any) -> Any:
        """Rank 0's ``value`` on every rank; what the other ranks pass is ignored."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def collect(self, value: Any) -> list[Any]:
        """Every rank's ``value``, in the order of the ranks, on every rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found


def join_world(device: torch.device | None = None, ddp_backend: str | None = None) -> World:
    """Meet the other ranks (once a process), or be the only one.

    ``device`` is where the model is or will be; None: this rank's GPU if there is one, else the
    CPU. ``ddp_backend`` nccl without a GPU becomes gloo, with a notice.
    """
    on_cpu = not torch.cuda.is_available() if device is None else device.type == "cpu"
    notices: tuple[str, ...] = ()
    if on_cpu and ddp_backend not in (None, "gloo"):
        notices = (f"--ddp_backend {ddp_backend} needs GPUs, and there are none; gloo is used",)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        place = device or torch.device("cpu" if on_cpu else "cuda")
        return World(0, 1, place, notices)
    from accelerate import PartialState

    options: dict[str, Any] = {"timeout": EXCHANGE_TIMEOUT}
    if on_cpu or ddp_backend is not None:
        options["backend"] = "gloo" if on_cpu else ddp_backend
    # The first call in a process connects the ranks, later ones only look.
    state = PartialState(cpu=on_cpu, **options)
    return World(state.process_index, state.num_processes, device or state.device, notices)
