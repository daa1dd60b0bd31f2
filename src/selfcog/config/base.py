"""What all settings share: frozen, no unknown keys, a docstring under every field."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

DType = Literal["auto", "float32", "bfloat16", "float16"]
Count = Annotated[int, Field(ge=1)]
"""A number of things of which there must be at least one."""
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""Start of a random sequence; numpy takes 32 bits."""


class Config(BaseModel):
    """Base of every section and command. Validators refuse; they never change a value.

    ``GROUPS`` orders the leaves of a command that has no sections: heading → leaf names.
    """

    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {}

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        # The fields model_name, model_type … are ours.
        protected_namespaces=(),
        # Help and docs read the fields only; validators are built when a value is checked.
        defer_build=True,
    )
