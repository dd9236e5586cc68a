"""What is wrong with a table."""


class TableError(ValueError):
    """A table that a statistic cannot be computed from; one line: which table, row and value, and the way out."""
