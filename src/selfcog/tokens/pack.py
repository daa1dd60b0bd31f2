"""Putting rows of different lengths together: into packs of a token budget, onto ranks.

Pure functions of the lengths; the same input gives the same result on every rank.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Sequence


def pack(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of ``lengths`` in packs of at most ``budget`` tokens, by best-fit decreasing.

    Every index is in exactly one pack, packs and their indices in rising order. A row longer
    than the budget gets a pack of its own.
    """
    if budget < 1:
        raise ValueError(f"a pack needs a budget of at least 1 token, not {budget}")
    packs: list[list[int]] = []
    # (tokens still free, pack number): the first entry that is large enough is the best fit.
    free: list[tuple[int, int]] = []
    for index in _longest_first(lengths):
        length = lengths[index]
        place = bisect_left(free, (length, -1))
        if place < len(free):
            left, number = free.pop(place)
            packs[number].append(index)
        else:
            left, number = budget, len(packs)
            packs.append([index])
        if left >= length:
            insort(free, (left - length, number))
    return sorted(sorted(indices) for indices in packs)


def balance(lengths: Sequence[int], num_ranks: int) -> list[list[int]]:
    """Indices of ``lengths`` per rank, longest first onto the rank with the fewest tokens.

    Ranks differ by at most one longest row. With fewer rows than ranks some ranks get none.
    """
    if num_ranks < 1:
        raise ValueError(f"rows are shared among at least 1 rank, not {num_ranks}")
    ranks: list[list[int]] = [[] for _ in range(num_ranks)]
    load = [(0, 0, rank) for rank in range(num_ranks)]
    for index in _longest_first(lengths):
        # Rows break ties, so that rows without tokens are spread as well.
        tokens, rows, rank = heapq.heappop(load)
        ranks[rank].append(index)
        heapq.heappush(load, (tokens + lengths[index], rows + 1, rank))
    return [sorted(indices) for indices in ranks]


def _longest_first(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
