"""The base of every part of a study file, and the names and seeds that its parts share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# A plain word that is safe as part of a path.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", max_length=80)]

# A name in any script, with spaces inside. What means something to a shell, a path or a URI is left out.
_APART = r"\x00-\x1f/\\:*?\"<>|#%&{}$!'`+=;,\[\]()~^"
Title = Annotated[str, Field(pattern=rf"^[^{_APART} ._@-]([^{_APART}]*[^{_APART} .])?$", max_length=80)]

# What numpy, torch and transformers all accept as a seed.
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]


def Option(default: Any, **about: Any) -> Any:
    """Return a field that is in no dump of its value while it has its default.

    A field that is new in a study file is one: the identity of a cell that does not use it stays the same.
    """
    return Field(default, exclude_if=lambda value: value == default, **about)


class Spec(BaseModel):
    """A frozen and strict value: an unknown key is an error, not a silently ignored setting."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
