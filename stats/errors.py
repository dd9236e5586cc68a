"""What is wrong with a table."""


class TableError(ValueError):
    """A table that a statistic cannot be computed from; named are table, row and value."""
