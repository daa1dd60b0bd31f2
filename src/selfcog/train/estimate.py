"""What a training of a large model takes: memory by part, bytes between ranks, time.

    python -m selfcog.train.estimate docs/scaling.md

writes the tables of that page anew. The models are made without weights (on torch's meta device),
so that counts are those of the real modules; nothing here was measured on a GPU. GB are 10^9 bytes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from selfcog.config.schema import AdapterSection
from selfcog.model.adapter import add_adapter, count_parameters
from selfcog.tokens.pack import balance
from selfcog.train.loss import CHUNK_LOGITS_GPU
from selfcog.train.memory import activation_bytes

# Qwen1.5 as its config.json files say: hidden, feed-forward, layers, heads, vocabulary.
QWEN = {
    "7B": (4096, 11008, 32, 32, 151936),
    "14B": (5120, 13696, 40, 40, 152064),
    "72B": (8192, 24576, 80, 64, 152064),
}
RANK = 8  # the tutorial's --lora_rank
TOKENS = 4096  # positions of one forward pass
# NF4: 4 bits, and 8 bits of scale a block of 64, and 32 bits a 256 of these (QLoRA, section 3).
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
# The head's logits in 16 bits (their gradient takes the same memory), as float32, their softmax.
CHUNK_BYTES = CHUNK_LOGITS_GPU * (2 + 4 + 4)
# Weight, gradient and AdamW's two moments, all float32.
TRAINED_BYTES = 16
MFU = 0.35
# Dense bfloat16 FLOP/s by the makers' data sheets.
PEAKS = {"A100": 312e12, "H100": 989e12}
# Bytes/s into one GPU: NVLink within a node, and one 400 Gb/s link each between nodes, both at
# about two thirds of what their makers say.
NVLINK, NETWORK = 300e9, 33e9
# Lengths of mixed chat data: exp(normal(MEAN, SPREAD)) tokens.
LENGTH_MEAN, LENGTH_SPREAD, LENGTH_RANGE = 4.8, 0.8, (8, 800)
# The tutorial's run: 1,500 rows, 3 epochs, of an assumed 600 tokens; 16 rows a step.
RUN_TOKENS, STEP_TOKENS = 1500 * 3 * 600, 16 * 600


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of weights, and of bytes that one token's activations take in bfloat16.

    ``inside``: in the decoder layers; ``outside``: embedding, last norm and head.
    """

    name: str
    inside: int
    outside: int
    head: int
    layers: int
    adapter: int
    activation: int
    activation_checkpointed: int

    @property
    def layer(self) -> float:
        return self.inside / self.layers


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one GPU, by part."""

    weights: float
    gathered: float
    trained: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        return self.weights + self.gathered + self.trained + self.activations + self.logits


def measure(name: str, shape: tuple[int, int, int, int, int], rank: int = RANK) -> Sizes:
    """Counts of a Qwen model of this shape with a LoRA adapter on all linear layers."""
    from transformers import AutoModelForCausalLM, Qwen2Config

    hidden, inner, layers, heads, vocabulary = shape
    config = Qwen2Config(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=vocabulary,
        tie_word_embeddings=False,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        inside = count_parameters(model.model.layers).total
        total = count_parameters(model).total
        head = count_parameters(model.lm_head).total
        plain, twice = (activation_bytes(model, checkpointing) for checkpointing in (False, True))
        adapter = count_parameters(add_adapter(model, AdapterSection(lora_rank=rank))).trainable
    return Sizes(name, inside, total - inside, head, layers, adapter, plain, twice)


def lora_memory(
    sizes: Sizes, ranks: int, way: str, *, checkpointing: bool, tokens: int = TOKENS
) -> Memory:
    """``way``: "whole" on every rank, "4 bits" whole on every rank, or "shards"."""
    weights = {
        "whole": 2 * (sizes.inside + sizes.outside),
        "4 bits": NF4_BYTES * sizes.inside + 2 * sizes.outside,
        "shards": 2 * (sizes.inside / ranks + sizes.outside),
    }[way]
    # The layer at work and the next one, which is gathered meanwhile.
    gathered = 2 * 2 * sizes.layer if way == "shards" else 0
    each = sizes.activation_checkpointed if checkpointing else sizes.activation
    trained = TRAINED_BYTES * sizes.adapter
    return Memory(weights, gathered, trained, each * tokens, CHUNK_BYTES)


def full_memory(sizes: Sizes, ranks: int, tokens: int = TOKENS) -> Memory:
    """All weights trained, in shards, with gradient checkpointing."""
    trained = TRAINED_BYTES * (sizes.inside / ranks + sizes.outside)
    # Two layers as float32, and the gradient of one, before and while it is shared out.
    gathered = 4 * 4 * sizes.layer
    activations = sizes.activation_checkpointed * tokens
    # The head is trained too: its gradient is added up chunk by chunk.
    return Memory(0, gathered, trained, activations, CHUNK_BYTES + 4 * sizes.head)


def exchanged_bytes(ranks: int, numbers: int) -> float:
    """Sent by one rank when float32 ``numbers`` are added up over all, in a ring."""
    return 2 * (ranks - 1) / ranks * 4 * numbers


def gathered_bytes(sizes: Sizes, ranks: int, times: int, number_bytes: int = 2) -> float:
    """Received by one rank in a pass (forward and backward) that gathers each layer ``times``."""
    return times * (ranks - 1) / ranks * number_bytes * sizes.inside


def lora_flops(sizes: Sizes, *, checkpointing: bool) -> float:
    """Of a token: 2 for each weight forward, 2 backward to the activations, 2 for a second
    forward pass of the layers; the frozen weights have no gradient. Attention's own products are
    left out."""
    passes = 3 if checkpointing else 2
    return 2 * passes * sizes.inside + 4 * sizes.head + 2 * (passes + 1) * sizes.adapter


def tokens_per_s(flops: float, ranks: int, gpu: str, mfu: float = MFU) -> float:
    return ranks * PEAKS[gpu] * mfu / flops


def hiding_tokens(sizes: Sizes, ranks: int, gpu: str, bandwidth: float) -> float:
    """Tokens of a pass that take as long to compute as its layers take to be gathered twice."""
    seconds = gathered_bytes(sizes, ranks, 2) / bandwidth
    return seconds * PEAKS[gpu] * MFU / lora_flops(sizes, checkpointing=True)


def chat_lengths(count: int) -> list[int]:
    """Made-up lengths of conversations, the same every time."""
    draw = random.Random(0)
    lowest, highest = LENGTH_RANGE
    drawn = (int(draw.lognormvariate(LENGTH_MEAN, LENGTH_SPREAD)) for _ in range(count))
    return [min(max(length, lowest), highest) for length in drawn]


def imbalance(lengths: Sequence[int], per_step: int, ranks: int) -> float:
    """Of the fullest rank over the mean, minus 1, over steps of ``per_step`` conversations."""
    fullest = 0
    for start in range(0, len(lengths), per_step):
        step = lengths[start : start + per_step]
        parts = balance(step, ranks)
        fullest += max(sum(step[index] for index in part) for part in parts)
    return fullest * ranks / sum(lengths) - 1.0


def make_tables(models: Sequence[Sizes]) -> dict[str, str]:
    """The tables of docs/scaling.md, by the name that the page calls them."""
    small, middle, large = models
    parts = ["weights", "gathered", "adapter", "activations", "logits", "sum"]
    plans = [
        (small, 8, "whole", False),
        (small, 8, "whole", True),
        (small, 1, "4 bits", True),
        (middle, 8, "whole", False),
        (middle, 8, "whole", True),
        (middle, 8, "4 bits", True),
        (middle, 8, "shards", True),
        (large, 8, "4 bits", True),
        (large, 8, "shards", True),
        (large, 16, "shards", True),
    ]
    lora = []
    for sizes, ranks, way, twice in plans:
        found = lora_memory(sizes, ranks, way, checkpointing=twice)
        what = f"{sizes.name}, {ranks} GPU{'s' if ranks > 1 else ''}, {way}"
        lora.append([what, "twice" if twice else "once", *_cells(found)])
    full = [
        [f"{sizes.name}, {ranks} GPUs", *_cells(full_memory(sizes, ranks))[1:]]
        for sizes, ranks in ((small, 8), (middle, 8), (middle, 16), (large, 32), (large, 64))
    ]
    counts = [
        [
            sizes.name,
            f"{(sizes.inside + sizes.outside) / 1e9:.2f}",
            f"{sizes.inside / 1e9:.2f}",
            f"{sizes.outside / 1e9:.2f}",
            f"{sizes.adapter / 1e6:.1f}",
            f"{sizes.activation / 1e6:.1f}",
            f"{sizes.activation_checkpointed / 1e6:.2f}",
        ]
        for sizes in models
    ]
    traffic = [
        [
            sizes.name,
            _gb(exchanged_bytes(8, sizes.adapter)),
            _gb(gathered_bytes(sizes, 8, 2)),
            _gb(gathered_bytes(sizes, 8, 1)),
            _gb(gathered_bytes(sizes, 8, 3, 4) + exchanged_bytes(8, sizes.outside)),
            f"{hiding_tokens(sizes, 8, 'H100', NVLINK):,.0f}",
            f"{hiding_tokens(sizes, 16, 'H100', NETWORK):,.0f}",
        ]
        for sizes in models
    ]
    speeds = [_speed_row(sizes) for sizes in models]
    count_head = ["model", "weights, 10^9", "in layers", "outside", "adapter, 10^6"]
    traffic_head = ["GB a GPU", "LoRA, whole: a step", "LoRA, full_shard: a pass, beside it"]
    speed_head = ["model", "GFLOP a token", *(f"8 × {gpu}, tokens/s" for gpu in PEAKS)]
    traffic_head += ["LoRA, shard_grad_op", "all weights: a pass"]
    traffic_head += ["tokens that hide it, one node", "two nodes"]
    tables = {
        "sizes": ([*count_head, "MB a token, once", "twice"], counts),
        "lora": (["LoRA", "forward", *parts], lora),
        "full": (["all weights, in shards", "gathered", "trained", *parts[3:]], full),
        "traffic": (traffic_head, traffic),
        "speed": ([*speed_head, "the tutorial's run, 8 × A100", "a step of it"], speeds),
    }
    lengths = chat_lengths(1536)
    worlds = (2, 4, 8, 16)
    uneven = [
        [f"{per_step}", *(f"{imbalance(lengths, per_step, number):.1%}" for number in worlds)]
        for per_step in (16, 32, 64, 128)
    ]
    tables["imbalance"] = (["examples a step", *(f"{number} ranks" for number in worlds)], uneven)
    return {name: _table(head, rows) for name, (head, rows) in tables.items()}


def fill_page(page: str, tables: Mapping[str, str]) -> str:
    """``page`` with what stands between ``<!-- table NAME -->`` and ``<!-- end -->`` made anew."""
    for name, table in tables.items():
        before, mark, rest = page.partition(f"<!-- table {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        assert mark and end, f"the page has no place for the table {name}"
        page = f"{before}{mark}{table}\n{end}{after}"
    return page


def _speed_row(sizes: Sizes) -> list[str]:
    flops = lora_flops(sizes, checkpointing=True)
    slow, fast = (tokens_per_s(flops, 8, gpu) for gpu in ("A100", "H100"))
    minutes, seconds = RUN_TOKENS / slow / 60, STEP_TOKENS / slow
    return [
        sizes.name,
        f"{flops / 1e9:.1f}",
        f"{slow:,.0f}",
        f"{fast:,.0f}",
        f"{minutes:.1f} min",
        f"{seconds:.2f} s",
    ]


def _cells(memory: Memory) -> list[str]:
    return [
        _gb(memory.weights),
        _gb(memory.gathered),
        _gb(memory.trained),
        _gb(memory.activations),
        _gb(memory.logits),
        f"**{_gb(memory.total)}**",
    ]


def _gb(number: float) -> str:
    return f"{number / 1e9:.1f}" if number >= 1e9 or number == 0 else f"{number / 1e9:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(path: Path) -> None:
    tables = make_tables([measure(name, shape) for name, shape in QWEN.items()])
    path.write_text(fill_page(path.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
