"""Which numbers a difference between two accuracies can have.

With two seeds, an interval may reach further than any difference between accuracies. Such an interval says
nothing yet, and neither a page nor a figure nor the record shows its ends.
"""

LARGEST_PP = 100.0  # no difference between two accuracies is larger


def says_something(low: float, high: float, largest: float = LARGEST_PP) -> bool:
    """Return whether an interval either excludes zero or ends at possible values on both sides.

    Args:
        low, high: the interval's ends (percentage points). largest: the largest possible size; infinite for a
            quantity without bounds.
    """
    return not low <= 0 <= high or max(-low, high) <= largest
