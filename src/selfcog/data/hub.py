"""Rows out of data sets on a hub. The only code of this floor that may use the network.

Nothing here runs unless a source is written ``hf::…`` or ``ms::…``. Remote code is never allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from selfcog.data.rows import RawRow, quote_all
from selfcog.errors import DataError, MissingExtraError


def read_hf(name: str, subset: str | None, source: str) -> Iterator[RawRow]:
    """Rows of the train split (or of the only split) of a Hugging Face data set.

    Raises:
        DataError: not found, no network, an unknown subset, no train split among several.
        MissingExtraError: the datasets package is missing.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: needs the datasets package: pip install 'selfcog[data]'"
        ) from error
    try:
        splits = datasets.load_dataset(name, name=subset)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise _cannot_load(source, error, "HF_HUB_OFFLINE=1 uses what is cached") from error
    if "train" not in splits and len(splits) != 1:
        raise DataError(f"{source}: no split called 'train'; found {quote_all(splits)}")
    rows = splits["train"] if "train" in splits else next(iter(splits.values()))
    return _number(rows, source)


def read_ms(name: str, subset: str | None, source: str) -> Iterator[RawRow]:
    """Rows of the train split of a ModelScope data set.

    Raises:
        DataError: not found, no network, an unknown subset or no train split.
        MissingExtraError: the modelscope package is missing.
    """
    try:
        from modelscope.hub.errors import NotExistError, RequestError
        from modelscope.msdatasets import MsDataset
    except ImportError as error:
        raise MissingExtraError(
            f"{source}: needs the modelscope package: pip install 'selfcog[modelscope]'"
        ) from error
    try:
        rows = MsDataset.load(name, subset_name=subset or "default", split="train")
    except (OSError, ValueError, RuntimeError, NotExistError, RequestError) as error:
        raise _cannot_load(source, error, "check the name and the network") from error
    return _number(rows, source)


def _cannot_load(source: str, error: Exception, advice: str) -> DataError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return DataError(f"{source}: cannot be loaded: {' '.join(lines)[:300]} ({advice})")


def _number(rows: Any, source: str) -> Iterator[RawRow]:
    return (RawRow(dict(row), source, number) for number, row in enumerate(rows, 1))
