"""Loading heavy libraries quickly, in a process that is the command line's own.

While torch and transformers are loaded, Python's garbage collector looks at a million objects again
and again and finds nothing: a fifth of the CPU time from the start to the first token.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

_owns_process = False


def own_process() -> None:
    """Called by a command line; where selfcog is a library, the collector is not its business."""
    global _owns_process
    _owns_process = True


def preload(*modules: str) -> None:
    """Import what is not there yet, without garbage collections; what is alive then is kept.

    Call it before an import of a heavy library. It does nothing where all of it is loaded, so that
    no model is ever kept in memory for it: there is none before its library is.
    """
    missing = [name for name in modules if name not in sys.modules]
    if not (_owns_process and missing and gc.isenabled()):
        return
    gc.disable()
    try:
        for name in missing:
            import_module(name)
    finally:
        gc.freeze()
        gc.enable()
