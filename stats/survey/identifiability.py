"""Whether the coefficients of a survey model can be told apart.

The thresholds of a cumulative logit are its constant, so the columns that must be independent are those of
[1, X]: `x2 = 2 x1 + 1` and complementary 0/1 columns follow from others only together with the constant.
"""

from collections.abc import Sequence

import numpy as np

from stats.arrays import Floats
from stats.errors import TableError

LARGEST_CONDITION = 30.0  # Belsley, Kuh and Welsch 1980; two columns reach it at a correlation of 0.998
INVOLVED = 0.1  # a trait is named if its part of the near-dependence, of length 1, is longer than this


def check_identifiable(matrix: Floats, traits: Sequence[str]) -> None:
    """Refuse traits that follow, or nearly follow, from the others and the constant.

    The condition number is that of [1, X] after centring (which takes the constant out) and after making the
    columns of each trait orthonormal, so that neither units nor the choice of a reference level matter.

    Args:
        matrix: X without the constant, [users, columns]; no column is constant.
        traits: the trait of each column.

    Raises:
        TableError: The condition number is above 30; the message names the traits that are involved.
    """
    centred = matrix - matrix.mean(axis=0)
    owners = np.array(traits)
    names = list(dict.fromkeys(traits))
    scaled = centred / centred.std(axis=0)
    blocks = [np.linalg.qr(scaled[:, owners == name])[0] for name in names]
    joined = np.column_stack(blocks)
    _, singular, directions = np.linalg.svd(joined, full_matrices=False)
    with np.errstate(divide="ignore"):
        condition = singular[0] / singular[-1] if len(joined) > joined.shape[1] else np.inf
    if condition <= LARGEST_CONDITION:
        return
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    parts = zip(names, np.split(directions[-1], ends), strict=True)
    involved = [name for name, part in parts if np.linalg.norm(part) > INVOLVED]
    size = f"{condition:.0f}" if condition < 1e6 else "infinite"
    raise TableError(
        f"traits: {_listed(involved)} cannot be told apart (the condition number of [1, X] is {size}, at "
        f"most {LARGEST_CONDITION:g} is allowed); leave one of them out"
    )


def _listed(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
