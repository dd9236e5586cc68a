"""The errors that end an arm.

StudyError    the user's mistake: never retried
OutOfMemory   the micro-batch did not fit: a retry takes a smaller one
Preempted     the arm was asked to stop: a retry resumes it
"""


class StudyError(Exception):
    """A mistake in a study or its data: reported once, in one line, and never retried.

    The message names the place (file and key), the value found there and the way out. The error can be
    pickled, so that it crosses Ray's process borders unchanged.
    """


class OutOfMemory(Exception):
    """The accelerator's memory did not hold the micro-batch: half of it may fit."""


class Preempted(Exception):
    """The arm was asked to stop and has saved itself: the next attempt resumes from there."""
