"""An e-value from the signs of the seeds' values: it needs neither normal seeds nor a fixed number of them.

If one seed's value is as likely to be positive as negative, then after n seeds, k of them positive, the
average over uniform q of the bet prod 2 q^k (1 - q)^(n - k),

    e = 2^n k! (n - k)! / (n + 1)!,

is a test martingale (Robbins 1970; Ramdas et al. 2023, Statist. Sci. 38): the probability that it ever
reaches 1 / alpha is at most alpha (Ville 1939), however the number of seeds was chosen and whatever the
distribution, a rare divergence included. So at e >= 20 the median differs from zero at the 5 % level. It
speaks of new seeds on the same held-out users.
"""

from math import exp, lgamma, log

import numpy as np
import numpy.typing as npt


def sign_e_value(values: npt.ArrayLike) -> float:
    """Return the e-value against a median of zero over seeds; zeros do not count, and no seed gives 1."""
    diffs = np.asarray(values, dtype=float)
    positive, negative = int((diffs > 0).sum()), int((diffs < 0).sum())
    seeds = positive + negative
    return exp(seeds * log(2) + lgamma(positive + 1) + lgamma(negative + 1) - lgamma(seeds + 2))
