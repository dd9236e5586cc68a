"""The array type that the statistics share."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
