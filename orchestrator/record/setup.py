"""The setup that a report prints: what a reader has to know to understand its numbers."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from orchestrator.record.origins import OtherOrigin
from orchestrator.record.renderings import RecordedRendering
from orchestrator.study.seeds import seeds_text
from orchestrator.study.study import Study
from stats.page.language import Language
from stats.page.words import Words
from training.data.corpus import Corpus
from training.data.splits import assign, held_out_by
from training.table_data import BEHAVIOUR


def setup(
    study: Study, corpus: Corpus, finished: pd.DataFrame, rendering: RecordedRendering | None
) -> dict[str, str]:
    """Return the rows of the report's setup table, name -> text.

    Args:
        study: The study, which also sets the language.
        corpus: The study's data.
        finished: The finished rows of `RecordedCells.table`.
        rendering: How the pairs became token ids; None if the record does not know.
    """
    training, say = study.training, Words(study.language)
    pairs = corpus.pairs
    dropped = {**corpus.dropped, **(rendering.dropped if rendering else {})}
    kept = {**corpus.kept, **(rendering.noted if rendering else {})}
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
        "dropped": _counts(dropped, say),
        **({"kept, though unusual": _counts(kept, say)} if kept else {}),
        **_unknown(corpus, say),
        **_missing_traits(corpus),
        **_length_limit(training.max_length, finished, say),
        "held out": "; ".join(_held_out(study, corpus, finished, say)),
        "splits": str(len(study.grid_splits)),
        "seeds": "; ".join(
            f"{name}: {seeds_text(method.seeds or study.seeds_of(name))}"
            for name, method in study.methods.items()
            if name not in study.published
        ),
        "methods": ", ".join(methods),
        "reference": study.reference,
        "training": "; ".join(_training(study, say)),
        **_reference_free(study, finished, say),
    }


def _training(study: Study, say: Words) -> Iterator[str]:
    """Yield how arms are trained, and what is different for which method."""
    training = study.training
    length = (
        say("{steps} steps of {pairs} pairs", steps=training.max_steps, pairs=training.batch_size)
        if training.epochs is None
        else say(
            "epochs: {epochs:g}, {pairs} pairs per step", epochs=training.epochs, pairs=training.batch_size
        )
    )
    rate = say("learning rate {rate:g}, {dtype}", rate=training.learning_rate, dtype=training.dtype)
    yield f"{length}, {rate}"
    for name, method in study.methods.items():
        if method.training and name not in study.published:
            changes = method.training.model_dump().items()
            yield f"{name}: {', '.join(f'{key} {value}' for key, value in changes)}"


def _reference_free(study: Study, finished: pd.DataFrame, say: Words) -> dict[str, str]:
    """Return the row that says which definition of a correct pair counts for methods without a reference."""
    names = [name for name, method in study.methods.items() if method.objective.reference_free]
    if not names:
        return {}
    own = finished.loc[finished["method"].isin(names)].filter(regex="/pref_acc_heldout_simpo$").stack()
    text = say(
        "{methods}: as for the other methods, a pair counts as correct if its margin against the reference "
        "is positive",
        methods=", ".join(names),
    )
    if len(own.dropna()):
        text += "; " + say(
            "by SimPO's own reward, the log-likelihood per token, an arm is correct on {least:.0%} to "
            "{most:.0%} of its held-out pairs",
            least=own.min(),
            most=own.max(),
        )
    return {"without a reference": text}


def _counts(counts: Mapping[str, int], say: Words) -> str:
    """Return counts by reason as a list."""
    shown = [say("{count} {why}", count=count, why=say.word(why)) for why, count in counts.items() if count]
    return ", ".join(shown) or say("none")


def _held_out(study: Study, corpus: Corpus, finished: pd.DataFrame, say: Words) -> Iterator[str]:
    """Yield what is held out, which pairs are in no fold for it, and what is trained on all the same."""
    share, assigned = study.held_out.share, assign(corpus, study.held_out, None)
    yield {
        "user": say("{share:.0%} of users", share=share),
        "item": say("{share:.0%} of items", share=share),
        "both": say("{share:.0%} of users, and of the items that several users rated", share=share),
    }[held_out_by(assigned, study.held_out)]
    if left_out := len(corpus.pairs) - len(assigned):
        yield say("{count} pairs, of a held-out user or item alone, are in no fold", count=left_out)
    trained = finished.filter(regex="/pairs_heldout_trained$").stack().dropna()
    if len(trained) and not trained.max():
        yield say("no held-out pair has the same token ids as a training pair")
    elif len(trained):
        yield say(
            "up to {count:.0f} held-out pairs of a cell have the same token ids as a training pair",
            count=trained.max(),
        )


def _unknown(corpus: Corpus, say: Words) -> dict[str, str]:
    """Return the row about what the data do not say; what needs it is left out of reports."""
    unknown = [
        say.word(name)
        for name, column in (("score gap", "score_gap"), ("source model", "source_model"))
        if corpus.pairs[column].isna().all()
    ]
    if corpus.anonymous:
        unknown.append(say("who chose, so each prompt counts as one user"))
    if not unknown:
        return {}
    return {"not in the data": say("{what}; what needs it is left out", what=", ".join(unknown))}


def _missing_traits(corpus: Corpus) -> dict[str, str]:
    """Return the row about traits that are missing for some users, who are in no group of such a split."""
    shares = corpus.users.drop(columns=["user_id", *BEHAVIOUR], errors="ignore").isna().mean()
    missing = [f"{trait} {share:.1%}" for trait, share in shares.items() if share]
    return {"users whose trait is missing": ", ".join(missing)} if missing else {}


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
    """Return the row about max_length: how many pairs of the finished cells it truncated."""
    if not len(finished):
        return {}
    parts = ("train", "truncated")
    train, truncated = (
        finished.filter(regex=f"/pairs_{part}$").stack().dropna().to_numpy() for part in parts
    )
    share = truncated / train
    return {
        "length limit": say(
            "{tokens} tokens: {least:.0%} to {most:.0%} of an arm's training pairs had an answer truncated",
            tokens=max_length,
            least=share.min(),
            most=share.max(),
        )
    }
