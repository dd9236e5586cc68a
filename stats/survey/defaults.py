"""Defaults of the survey models. This module imports no pandas: reading a study needs no models."""

from typing import Literal

# The published study's cut points of the score gap.
CUTS = (6.0, 14.0, 29.0)  # between quartiles: 1 up to 6, 2 up to 14, 3 up to 29, 4 above
W2_CUT = 14.0  # W2 predicts whether a gap is above it

MIN_USERS = 10  # a level that fewer users have is left out
Correction = Literal["holm", "bh"]  # Holm: family-wise error; Benjamini-Hochberg: false discovery rate
