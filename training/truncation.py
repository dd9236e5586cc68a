"""Truncate the token ids of a pair to a number of tokens."""

from dataclasses import dataclass
from typing import Literal

Truncation = Literal["keep_start", "keep_end", "drop_turns"]


@dataclass(frozen=True)
class PairIds:
    """The token ids of a pair: its prompt, and the two answers that follow it."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def length(self) -> int:
        """Tokens of the prompt with the longer answer."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    def truncated(self, max_length: int, truncation: Truncation) -> "PairIds":
        """Return the pair with at most `max_length` tokens per sequence.

        `keep_end` takes tokens from the start of the prompt, and of an answer that is too long by itself.
        Both answers follow the same prompt, which keeps at least its last token. The other truncations take
        tokens from the end of each answer, so that a prompt which is too long leaves no answer.
        """
        if self.length <= max_length:
            return self
        if truncation == "keep_end":
            room = max(1, max_length - max(len(self.chosen), len(self.rejected)))
            prompt = self.prompt[-room:]
            answers = max_length - len(prompt)
            return PairIds(prompt, self.chosen[-answers:], self.rejected[-answers:])
        room = max(0, max_length - len(self.prompt))
        return PairIds(self.prompt, self.chosen[:room], self.rejected[:room])
