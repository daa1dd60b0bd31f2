"""Who the model is to be: the identity itself, the bank of questions, generated rows, checks."""

from __future__ import annotations

from selfcog.identity.check import check_identity_rows, mentions
from selfcog.identity.generate import generate_dev, generate_identity, generate_known
from selfcog.identity.identity import Identity
from selfcog.identity.placeholders import fill_placeholders

__all__ = [
    "Identity",
    "check_identity_rows",
    "fill_placeholders",
    "generate_dev",
    "generate_identity",
    "generate_known",
    "mentions",
]
