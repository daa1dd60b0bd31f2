"""Who the model is to be: the identity itself, the bank of questions, generated rows, checks."""

from __future__ import annotations
