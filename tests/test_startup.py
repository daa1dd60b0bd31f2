"""Loading libraries without garbage collections, in the command line's own process only."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import gc, sys
from selfcog import startup
if {owned}:
    startup.own_process()
try:
    startup.preload({name!r})
except ImportError:
    pass
print({name!r} in sys.modules, gc.isenabled(), gc.get_freeze_count() > 0)
kept = gc.get_freeze_count()
alive = [object() for _ in range(1000)]
startup.preload("sys")
print(gc.get_freeze_count() == kept)
"""


@pytest.mark.parametrize(
    ("owned", "name", "found"),
    [
        (True, "decimal", "True True True"),
        (True, "no_such_module", "False True True"),
        (False, "decimal", "False True False"),
    ],
    ids=["command", "command, missing module", "library"],
)
def test_only_a_command_pauses_the_collector(owned: bool, name: str, found: str) -> None:
    code = CODE.format(owned=owned, name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [found, "True"]
