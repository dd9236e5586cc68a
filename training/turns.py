"""Run functions in turns: each in a thread of its own, but only one of them at any time."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Ask = Callable[[Any], Any]  # ask(question) waits for the next turn, and returns the answer that comes with it

_END = object()


class Turns(Generic[T]):
    """A function that runs only within `go_on`, from one question to the next.

    The function is called as `function(ask)`. What runs it is a thread, so that the function may ask from
    within any depth of a library's code.

    Attributes:
        question: What it asked last; None before its first turn, and once it has ended.
        ended: Whether it has returned or raised.
        result: What it returned.
        error: What it raised; None if it has not.
    """

    def __init__(self, function: Callable[[Ask], T]) -> None:
        self.question: Any = None
        self.ended = False
        self.result: T | None = None
        self.error: BaseException | None = None
        self._function = function
        self._questions: SimpleQueue[Any] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._thread = Thread(target=self._run, daemon=True)

    def go_on(self, answer: Any = None) -> None:
        """Let the function run until it asks again or ends; an exception as an answer is raised in it."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._answers.put(answer)
        self.question = self._questions.get()
        if self.question is _END:
            self._thread.join()
            self.question, self.ended = None, True

    def _ask(self, question: Any) -> Any:
        self._questions.put(question)
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _run(self) -> None:
        try:
            self.result = self._function(self._ask)
        except BaseException as error:  # whoever owns the turns decides what becomes of it
            self.error = error
        finally:
            self._questions.put(_END)
