"""The docstring under every field, read from the source: for help, docs and forms.

pydantic's own way (``use_attribute_docstrings``) reads them when a class is made, which is a
quarter of the time that an error of the command line takes.
"""

from __future__ import annotations

import ast
import inspect
import sys
from functools import cache

from selfcog.config.base import Config


def field_docstring(config: type[Config], name: str) -> str:
    """What is written under a field of ``config``, in one line; "" where nothing is."""
    for owner in config.__mro__:
        if text := _docstrings_of(owner.__module__).get((owner.__qualname__, name)):
            return text
    return ""


@cache
def _docstrings_of(module: str) -> dict[tuple[str, str], str]:
    """(class, field) → docstring, for the classes of a module."""
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement, following in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                text = " ".join(following.value.value.split())
                found[node.name, statement.target.id] = text
    return found
