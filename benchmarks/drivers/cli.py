"""Runs a tool's own command (its console script) in this interpreter: ``python cli.py trl sft …``.

By the name that its package declares, as the scripts of an environment may not lie beside it.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points


def run_script(name: str, arguments: list[str]) -> None:
    """Call what the script ``name`` calls; it reads ``sys.argv`` and may exit."""
    [script] = entry_points(group="console_scripts", name=name)
    sys.argv = [name, *arguments]
    sys.exit(script.load()())


if __name__ == "__main__":
    # Without the folder of this file, which the tool would not have.
    sys.path = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
    run_script(sys.argv[1], sys.argv[2:])
