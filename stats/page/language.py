"""The languages of a report."""

from typing import Literal

Language = Literal["en", "ko"]
