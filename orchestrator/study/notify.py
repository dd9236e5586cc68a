"""Who hears of the end, the failures and the stalls of a sweep."""

from typing import Annotated

from pydantic import AfterValidator, Field

from training.values import Spec


def _without_secrets(url: str) -> str:
    if url.startswith("$"):
        if not url[1:].isidentifier():
            raise ValueError("after the $, give the name of an environment variable")
    elif not url.startswith(("http://", "https://")) or "@" in url or "?" in url:
        raise ValueError(
            "give an http or https address without user, password and query; one that holds a secret belongs "
            "in an environment variable, whose name is given as $NAME"
        )
    return url


class Notify(Spec):
    """Where a sweep posts a short JSON message when it ends, and when a cell fails or stalls."""

    url: Annotated[str, AfterValidator(_without_secrets)] = Field(
        description="Address of the webhook, or $NAME: the environment variable that holds it."
    )
