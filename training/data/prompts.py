"""Give each prompt a system message: the same for all, or one that states the traits of the user."""

from dataclasses import replace

import pandas as pd

from training.data.corpus import Corpus
from training.data.items import items_of
from training.errors import StudyError
from training.hints import suggestion
from training.spec import Prompt


def prompted(corpus: Corpus, prompt: Prompt) -> Corpus:
    """Return a corpus whose prompts start with a system message, if the study asks for one.

    It consists of `prompt.system` and one line per trait in `prompt.with_traits`, such as
    "The user's age: 25-34 years old." A system message of the data follows it in the same message. The item
    of a pair stays what it was without these.

    Raises:
        StudyError: There is no such trait.
    """
    if not prompt.system and not prompt.with_traits:
        return corpus
    users = corpus.users.set_index("user_id")
    for trait in prompt.with_traits:
        if trait not in users:
            raise StudyError(f"prompt.with_traits: no trait {trait!r}; {suggestion(trait, users.columns)}")
    system = {user: _system(prompt, row) for user, row in users[prompt.with_traits].iterrows()}
    pairs = corpus.pairs
    prompts = [
        _with_system(chat, system[user]) for chat, user in zip(pairs["prompt"], pairs["user_id"], strict=True)
    ]
    prompt_column = pd.Series(prompts, index=pairs.index, dtype=object)
    return replace(corpus, pairs=pairs.assign(item=items_of(pairs), prompt=prompt_column))


def _system(prompt: Prompt, traits: pd.Series) -> str:
    lines = [prompt.system] if prompt.system else []
    for name in prompt.with_traits:
        value = traits[name]
        if not pd.isna(value):
            shown = f"{value:g}" if isinstance(value, float) else value
            lines.append(f"The user's {name.removeprefix('prefs_').replace('_', ' ')}: {shown}.")
    return "\n".join(lines)


def _with_system(chat: list[dict[str, str]], system: str) -> list[dict[str, str]]:
    if not system:
        return chat
    if chat[0]["role"] == "system":
        system, chat = f"{system}\n\n{chat[0]['content']}", chat[1:]
    return [{"role": "system", "content": system}, *chat]
