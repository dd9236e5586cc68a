"""Find the prompt and the two answers in chat messages, or in text that marks who speaks."""

import json
import re
from typing import Any

from training.errors import StudyError

Messages = list[dict[str, str]]
ROLES = ("system", "user", "assistant")
_SPEAKERS = re.compile(r"(?:\A|\n\n)(Human|Assistant):[ \t]?")
_LIST_OF_OBJECTS = re.compile(r"\s*\[\s*\{")
_PRINTED_BY_PYTHON = re.compile(r"\s*\[\s*\{\s*'(role|content)'\s*:")
_ROLE_OF = {"Human": "user", "Assistant": "assistant"}


class NotAPair(Exception):
    """A prompt and two answers that make no pair; the message is the reason, which is counted."""


def question(text: str) -> Messages:
    """Return a text as the chat of one user's message."""
    return [{"role": "user", "content": text}]


def messages(value: Any, place: str) -> Messages:
    """Return checked chat messages.

    Raises:
        StudyError: It is no list of messages, a role is unknown, or a content is no text.
    """
    checked: Messages = []
    if not isinstance(value, list):
        raise StudyError(f"{place}: a text or a list of chat messages is needed (found {value!r:.80})")
    for number, message in enumerate(value, start=1):
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if role not in ROLES:
            raise StudyError(
                f"{place}: message {number} needs a role ({', '.join(ROLES)}) and a content "
                f"(found {message!r:.80})"
            )
        if not isinstance(content, str):
            raise StudyError(f"{place}: message {number} has no text as its content (found {content!r:.80})")
        checked.append({"role": str(role), "content": content})
    return checked


def written_as_json(text: str, place: str) -> Messages | None:
    """Return the chat messages that a text holds as JSON, as in a csv; None for other texts.

    Raises:
        StudyError: The text is a list of messages as Python prints it, or a message is no message.
    """
    if not _LIST_OF_OBJECTS.match(text):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        if _PRINTED_BY_PYTHON.match(text):
            raise StudyError(
                f"{place}: chat messages as Python prints them (found {text!r:.80}); write them with "
                "json.dumps, or as parquet"
            ) from None
        return None
    is_chat = all(isinstance(item, dict) and {"role", "content"} <= item.keys() for item in value)
    return messages(value, place) if is_chat else None


def spoken(text: str, place: str) -> Messages:
    """Return text that marks its speakers with `Human:` and `Assistant:` as chat messages.

    Raises:
        StudyError: The text does not begin with one of the marks.
    """
    head, *parts = _SPEAKERS.split(text)
    if head.strip() or not parts:
        raise StudyError(
            f"{place}: a text that begins with 'Human:' or 'Assistant:' is needed (found {text!r:.80})"
        )
    return [
        {"role": _ROLE_OF[speaker], "content": said.strip()}
        for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    ]


def split_chats(prompt: Messages, chosen: Messages, rejected: Messages) -> tuple[Messages, str, str]:
    """Return the prompt, the chosen and the rejected answer of a pair.

    Args:
        prompt: The messages before the answers; empty if they stand only in the answers.
        chosen: The chosen answer, with or without the prompt before it.
        rejected: The rejected answer, likewise.

    Raises:
        NotAPair: The prompts differ, an answer has several turns, or the prompt does not end with the user.
    """
    if chosen == rejected:  # dropped and counted as identical answers
        common = len(chosen) - 1
    else:
        common = 0
        while common < min(len(chosen), len(rejected)) and chosen[common] == rejected[common]:
            common += 1
    shared = chosen[:common]
    before = shared if shared[: len(prompt)] == prompt else [*prompt, *shared]
    if not before:
        raise NotAPair("answers to different prompts")
    answers = chosen[common:], rejected[common:]
    if any(len(answer) != 1 or answer[0]["role"] != "assistant" for answer in answers):
        raise NotAPair("answers of several turns")
    if before[-1]["role"] != "user":
        raise NotAPair("prompt that does not end with the user")
    return before, answers[0][0]["content"], answers[1][0]["content"]


def as_text(chat: Messages) -> str:
    """Return chat messages as one text, by which equal prompts are found."""
    if len(chat) == 1 and chat[0]["role"] == "user":
        return chat[0]["content"]
    return json.dumps(chat, ensure_ascii=False)
