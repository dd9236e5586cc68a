"""Where the published study cut the score gap; apart from the models, so that reading a study needs none."""

CUTS = (6.0, 14.0, 29.0)  # quartiles: 1 up to 6, 2 up to 14, 3 up to 29, 4 above
W2_CUT = 14.0  # W2 asks whether a gap is above it
