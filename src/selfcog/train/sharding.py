"""Weights in shards (FSDP2): every rank holds a part of each decoder layer, and gathers the rest.

What is gathered when:

- A decoder layer is one group. Its weights are gathered before its forward pass and freed after
  it, and once more for its backward pass; with ``keeps_gathered`` (--fsdp shard_grad_op) they
  stay from the one to the other. Between steps nothing is gathered.
- Embedding, last norm and output head are whole on every rank. The loss applies the head chunk by
  chunk outside the decoder, and a tied head is the embedding itself.
- An adapter is whole on every rank, with its gradient and AdamW's moments: megabytes. Its gradient
  is added up in the one exchange of a step, as without shards.
- When all weights are trained, a layer's float32 weights, gradient and moments exist in shards
  only; gradients are added up and shared out at the end of every backward pass. Layers are
  gathered as float32 as well: rank 0 also uses the model outside of autocast.

Gathering is something that all ranks do together, layer by layer. So all ranks must make the same
number of passes (``count_idle``, ``idle_passes``), and what rank 0 does alone, such as answering
questions, is accompanied by the others (``led_by_main``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from selfcog.config.parallel import choose_sharding
from selfcog.config.schema import SftConfig
from selfcog.errors import ConfigError, TrainError
from selfcog.model.load import choose_dtype
from selfcog.train.dist import World
from selfcog.train.forward import base_model

# Since then gradients can be added up instead of averaged on every backend.
LEAST_TORCH = (2, 9)


@dataclass(slots=True)
class Shards:
    """The sharded parts of a model; without ``decoder`` every rank holds all of it.

    ``own_dtypes``: what trained weights came with, by name, where they were made float32 here.
    """

    world: World
    decoder: Any = None
    layers: list[Any] = field(default_factory=list)
    keeps_gathered: bool = False
    own_dtypes: dict[str, torch.dtype] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.decoder is not None

    def count_idle(self, num_passes: int) -> int:
        """How many passes this rank must add to its own ``num_passes`` to keep up with the
        others. Every rank asks before its first pass."""
        return self.world.highest(num_passes) - num_passes if self.active else 0

    def idle_passes(self, number: int, *, backward: bool) -> None:
        """Passes of one token that only gather; with ``backward`` their gradient is 0.

        Passes without ``backward`` may leave layers gathered: afterwards none is, on any rank.
        """
        for _ in range(number):
            with torch.set_grad_enabled(backward):
                hidden = self._pass()
            if backward:
                (hidden.float().sum() * 0.0).backward()
        if not backward:
            self.forget_gathered()

    @contextmanager
    def led_by_main(self) -> Iterator[bool]:
        """Rank 0 may use the model alone in the block; every rank enters it, True on rank 0.

        The others gather along, one pass for each of rank 0's, until it leaves the block.
        """
        if not self.active:
            yield self.world.is_main
            return
        # Reading or loading a state dict frees the layers of one rank: none may be gathered then.
        self.forget_gathered()
        self._keep_gathered(False)
        if self.world.is_main:
            # Before FSDP's own hook, which begins to gather.
            hook = self.decoder.register_forward_pre_hook(lambda *_: self._announce(), prepend=True)
            try:
                yield True
            finally:
                hook.remove()
            # After an error nothing is said: the ranks may be in the middle of a pass, and the
            # launcher ends them.
            self._tell(False)
        else:
            was_training = self.decoder.training
            self.decoder.eval()
            with torch.no_grad():
                while self._tell(False):
                    self._pass()
            self.decoder.train(was_training)
            yield False
        self._keep_gathered(self.keeps_gathered)

    def refuse_to_shrink(self, token_budget: int) -> None:
        """Raises TrainError: a rank that tries again by itself would gather without the others."""
        if self.active:
            raise TrainError(
                f"rank {self.world.rank} is out of memory, and ranks that share weights cannot try "
                f"again one by one; use a smaller --tokens_per_batch (now {token_budget}) or "
                "--gradient_checkpointing true"
            )

    def forget_gathered(self) -> None:
        """Nothing stays gathered: before the weights change, or are read or loaded on one rank."""
        for layer in self.layers:
            layer.reshard()

    def _keep_gathered(self, keeps: bool) -> None:
        for layer in self.layers:
            layer.set_reshard_after_forward(not keeps)

    def _announce(self) -> None:
        self._tell(True)

    def _tell(self, goes_on: bool) -> bool:
        """Rank 0's answer on every rank."""
        flag = torch.tensor([goes_on], dtype=torch.int32, device=self.world.device)
        self.world.copy_from_main(flag)
        return bool(flag.item())

    def _pass(self) -> torch.Tensor:
        ids = torch.zeros((1, 1), dtype=torch.long, device=self.world.device)
        hidden: torch.Tensor = self.decoder(input_ids=ids, use_cache=False)[0]
        return hidden


def shard_model(model: Any, config: SftConfig, world: World) -> Shards:
    """Spread the layers of ``model`` over the ranks if ``config`` asks for it.

    ``model`` may lie on the CPU: layer after layer is moved to ``world.device``, so that no rank
    needs room for all of it there. It is used as before. Raises ConfigError, or TrainError for a
    model whose layers cannot be found.
    """
    if not _is_asked(config, world):
        return Shards(world)
    sharding = choose_sharding(config)
    _check_torch()
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    base = base_model(model)
    decoder = base.get_decoder()
    layers = _layers_of(base, decoder)
    inside = {parameter for layer in layers for parameter in layer.parameters()}
    own_dtypes, kept = {}, set()
    if config.adapter.tuner_type == "full":
        for name, parameter in model.named_parameters():
            if parameter in inside:
                own_dtypes[name] = parameter.dtype
                parameter.data = parameter.data.float()
    else:
        kept = {parameter for parameter in inside if parameter.requires_grad}
    mesh = init_device_mesh(world.device.type, (world.size,))
    for layer in layers:
        fully_shard(
            layer,
            mesh=mesh,
            reshard_after_forward=not sharding.keeps_gathered,
            ignored_params=kept,
        )
    # The decoder itself only leads the layers: they share streams and gather ahead of time.
    kept |= set(decoder.parameters()) - {p for layer in layers for p in layer.parameters()}
    fully_shard(decoder, mesh=mesh, ignored_params=kept)
    for layer in layers:
        # Sums, as everywhere here; averages over gloo were wrong (pytorch issue 162338).
        layer.set_gradient_divide_factor(1.0)
        layer.set_force_sum_reduction_for_comms(True)
    _move_rest(model, world.device)
    shards = Shards(world, decoder, layers, sharding.keeps_gathered, own_dtypes)
    # FSDP makes its memory in the first pass; made under inference mode it could not be trained.
    with torch.no_grad():
        shards._pass()
    shards.forget_gathered()
    return shards


def choose_place(config: SftConfig, world: World, folder: Path) -> dict[str, Any]:
    """Where and in which number format ``load_model`` loads what ``shard_model`` is to spread.

    Main memory, where the files are mapped and shared by the ranks of a node, in the format of
    the device that is trained on.
    """
    name = config.model.torch_dtype
    if not _is_asked(config, world):
        return {"torch_dtype": name}
    dtype = choose_dtype(name, world.device, folder)
    return {"torch_dtype": str(dtype).removeprefix("torch."), "device": "cpu"}


def _is_asked(config: SftConfig, world: World) -> bool:
    sharding = choose_sharding(config)
    return sharding.shards_weights and world.size > 1


def _check_torch() -> None:
    found = torch.__version__
    if tuple(int(part) for part in found.split("+")[0].split(".")[:2]) < LEAST_TORCH:
        least = ".".join(map(str, LEAST_TORCH))
        raise ConfigError(f"--fsdp needs torch {least} or newer, found {found}; upgrade torch")


def _layers_of(base: Any, decoder: Any) -> list[Any]:
    """The modules that transformers itself never splits over devices: the decoder layers."""
    names = set(base._no_split_modules or ())
    layers = [module for module in decoder.modules() if type(module).__name__ in names]
    if not layers or decoder is base:
        raise TrainError(
            f"{type(base).__name__} cannot be sharded: transformers does not name its layers "
            f"({', '.join(sorted(names)) or 'no names'}); leave out --fsdp and --deepspeed"
        )
    return layers


def _move_rest(model: nn.Module, device: torch.device) -> None:
    from torch.distributed.tensor import DTensor

    for tensor in (*model.parameters(), *model.buffers()):
        if not isinstance(tensor, DTensor) and tensor.device != device:
            tensor.data = tensor.data.to(device)
