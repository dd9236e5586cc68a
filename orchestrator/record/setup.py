"""The setup that a report prints: what a reader has to know to understand its numbers."""

from collections.abc import Sequence

import pandas as pd

from orchestrator.record.origins import OtherOrigin
from orchestrator.study.study import Study
from stats.page.language import Language
from stats.page.words import Words
from training.data.corpus import Corpus


def setup(study: Study, corpus: Corpus, finished: pd.DataFrame) -> dict[str, str]:
    """Return the rows of the report's setup table, name -> text.

    Args:
        study: The study, which also sets the language.
        corpus: The study's data.
        finished: The finished rows of `RecordedCells.table`.
    """
    training, say = study.training, Words(study.language)
    pairs = corpus.pairs
    dropped = [
        say("{count} {why}", count=count, why=say.word(why)) for why, count in corpus.dropped.items() if count
    ]
    methods = [
        say("{name} (published: {file})", name=name, file=study.published[name].name)
        if name in study.published
        else name
        for name in study.methods
    ]
    return {
        "study": study.study,
        "model": study.model.path,
        "data": say(
            "{source}: {pairs} pairs of {users} users",
            source=study.data.source,
            pairs=len(pairs),
            users=pairs["user_id"].nunique(),
        ),
        "dropped": ", ".join(dropped) or say("none"),
        **_length_limit(training.max_length, finished, say),
        "held out": say("{share:.0%} of users", share=study.held_out.share),
        "splits": str(len(study.grid_splits)),
        "seeds": "; ".join(
            f"{name}: {', '.join(map(str, study.seeds_of(name)))}"
            for name in study.methods
            if name not in study.published
        ),
        "methods": ", ".join(methods),
        "reference": study.reference,
        "training": say(
            "{steps} steps of {pairs} pairs, learning rate {rate:g}, {dtype}",
            steps=training.max_steps,
            pairs=training.batch_size,
            rate=training.learning_rate,
            dtype=training.dtype,
        ),
    }


def other_origins_row(others: Sequence[OtherOrigin], language: Language) -> dict[str, str]:
    """Return the row about cells that other code or libraries made; no row if there are no such cells."""
    say = Words(language)
    parts = [
        say(
            "other code (since commit {commit}; files: {files}): {cells}",
            commit=other.before,
            files=other.shown_files,
            cells=say.plural(other.cells, "cell"),
        )
        if other.what == "code"
        else say(
            "{library} {before}, now {now}: {cells}",
            library=other.what,
            before=other.before,
            now=other.now,
            cells=say.plural(other.cells, "cell"),
        )
        for other in others
    ]
    return {"made with other code": "; ".join(parts)} if parts else {}


def _length_limit(max_length: int, finished: pd.DataFrame, say: Words) -> dict[str, str]:
    """Return the row about max_length: how many pairs of the finished cells it truncated or dropped."""
    if not len(finished):
        return {}
    parts = ("train", "truncated", "dropped")
    train, truncated, dropped = (
        finished.filter(regex=f"/pairs_{part}$").stack().dropna().to_numpy() for part in parts
    )
    share = truncated / train
    return {
        "length limit": say(
            "{tokens} tokens: {least:.0%} to {most:.0%} of an arm's training pairs had an answer truncated; "
            "up to {dropped:.0f} pairs of a cell had no room for an answer",
            tokens=max_length,
            least=share.min(),
            most=share.max(),
            dropped=dropped.max(),
        )
    }
