"""What ends an arm: the user's own mistakes, and what another attempt can mend."""


class StudyError(Exception):
    """A mistake in a study or its data: told once, in one line, and never retried.

    The message names the place (file and key), the value found there and the way out. Picklable, so
    that it crosses Ray's process borders as itself.
    """


class OutOfMemory(Exception):
    """The accelerator's memory did not hold the micro-batch: half of it may fit."""


class Preempted(Exception):
    """The arm was asked to stop, and has saved itself: another attempt goes on from there."""
