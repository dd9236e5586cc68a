"""The error that statistics raise about a table."""


class TableError(ValueError):
    """A statistic cannot be computed from a table; the message names the table, the row and the value."""
