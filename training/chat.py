"""Render chats as token ids with a model's chat template, on a date that is known."""

import datetime
import re
from collections.abc import Sequence
from itertools import takewhile

import pandas as pd
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from training.errors import StudyError
from training.template_text import DATE, RANDOM
from training.truncation import PairIds

Message = dict[str, str]
Chat = list[Message]
# What a template raises besides Jinja's own errors, through the Python in its expressions.
_OF_TEMPLATES = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
_CALL = re.compile(DATE.pattern + r"""\s*(["'])(.*?)\1\s*\)""")  # with the format of the date


class ChatRenderer:
    """A tokenizer and its chat template.

    Args:
        tokenizer: The tokenizer. It is changed: where its template asks for the current date, it gets `date`.
        date: The date that the template writes.
        as_text: Whether control tokens in messages are encoded as ordinary text.

    Attributes:
        dated: Whether the template writes a date.
        random: Whether the template writes a random value.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, date: datetime.date, as_text: bool = False
    ) -> None:
        self.tokenizer, self._as_text = tokenizer, as_text
        named = tokenizer.chat_template
        templates = list(named.values()) if isinstance(named, dict) else [named]
        self.dated = any(DATE.search(template) for template in templates)
        self.random = any(RANDOM.search(template) for template in templates)

        def on_date(template: str) -> str:
            return _CALL.sub(lambda call: repr(date.strftime(call[2])), template)

        tokenizer.chat_template = (
            {name: on_date(template) for name, template in named.items()}
            if isinstance(named, dict)
            else on_date(named)
        )
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._control = re.compile("|".join(map(re.escape, special)) or r"(?!)")
        self._special_ids = set(tokenizer.all_special_ids)

    def holds_control_tokens(self, chat: Chat, answers: Sequence[str]) -> bool:
        """Return whether a person or model typed one of the tokenizer's special tokens."""
        texts = [*(message["content"] for message in chat), *answers]
        return any(self._control.search(text) for text in texts)

    def ends(self, answer: Sequence[int]) -> bool:
        """Return whether an answer ends with a special token; whitespace may follow it."""
        return not self._special_ids.isdisjoint(answer[-3:])

    def prompts(self, chats: Sequence[Chat]) -> list[list[int]]:
        """Return the ids of prompts, up to where the answer starts."""
        return self._ids(chats, add_generation_prompt=True)

    def pairs(self, pairs: pd.DataFrame) -> list[tuple[PairIds, bool]]:
        """Render pairs (columns pair_id, prompt, chosen, rejected).

        Returns:
            The ids of each pair, and whether its prompt alone is rendered otherwise than within the
            conversation. An answer then starts where the token ids diverge, as in TRL.

        Raises:
            StudyError: The template refuses a chat; the message names the pair.
        """
        prompts = pairs["prompt"].tolist()
        try:
            rendered = (
                self.prompts(prompts),
                *(
                    self._ids([_answered(*row) for row in zip(prompts, pairs[side], strict=True)])
                    for side in ("chosen", "rejected")
                ),
            )
        except (TemplateError, *_OF_TEMPLATES) as error:
            if len(pairs) > 1:  # find the pair that the template refuses
                return [found for row in range(len(pairs)) for found in self.pairs(pairs.iloc[[row]])]
            raise StudyError(
                f"model {self.tokenizer.name_or_path}: its chat template refuses pair "
                f"{pairs['pair_id'].iloc[0]!r} ({' '.join(str(error).split())[:200]}); change the pair or "
                "the template"
            ) from error
        return [_split(*ids) for ids in zip(*rendered, strict=True)]

    def _ids(self, chats: Sequence[Chat], add_generation_prompt: bool = False) -> list[list[int]]:
        ids: list[list[int]] = self.tokenizer.apply_chat_template(
            list(chats),
            tokenize=True,
            return_dict=True,
            add_generation_prompt=add_generation_prompt,
            **({"sanitize_control_tokens": True} if self._as_text else {}),
        )["input_ids"]
        return ids


def _answered(prompt: Chat, answer: str) -> Chat:
    return [*prompt, {"role": "assistant", "content": answer}]


def _split(prompt: list[int], chosen: list[int], rejected: list[int]) -> tuple[PairIds, bool]:
    same = takewhile(lambda ids: ids[0] == ids[1] == ids[2], zip(prompt, chosen, rejected, strict=False))
    start = sum(1 for _ in same)
    return PairIds(prompt[:start], chosen[start:], rejected[start:]), start < len(prompt)


def without_oldest_turn(chat: Chat) -> Chat | None:
    """Return a chat without its oldest turn, up to the next message of the user; None if one turn is left.

    System messages at its start stay.
    """
    start = next((at for at, message in enumerate(chat) if message["role"] != "system"), len(chat))
    later = [at for at in range(start + 1, len(chat)) if chat[at]["role"] == "user"]
    return [*chat[:start], *chat[later[0] :]] if later else None
