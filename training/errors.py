"""The user's own mistakes."""


class StudyError(Exception):
    """A mistake in a study or its data: told once, in one line, and never retried.

    The message names the place (file and key), the value found there and the way out. Picklable, so
    that it crosses Ray's process borders as itself.
    """
