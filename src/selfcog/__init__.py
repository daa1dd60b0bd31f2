"""selfcog gives an open-weight chat model an identity of its own, and measures what it cost.

    from selfcog import Identity, chat, merge, sft

Importing the package is cheap: torch and transformers are loaded when a function needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from selfcog.api import chat, merge, sft
    from selfcog.identity import Identity

_EXPORTS = {
    "Identity": "selfcog.identity",
    "chat": "selfcog.api",
    "merge": "selfcog.api",
    "sft": "selfcog.api",
}

__all__ = ["Identity", "__version__", "chat", "merge", "sft"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'selfcog' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
