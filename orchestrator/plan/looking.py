"""What `sweep --check` does: look at everything that needs neither a cluster nor a training step."""

from collections.abc import Iterator
from pathlib import Path

from orchestrator.plan.tables import StudyTables, render_tables
from orchestrator.study.study import Study
from stats.names import BASELINE
from training.data.summary import summary
from training.model import load_model
from training.model_path import resolve_model


def look(study: Study, tables: StudyTables, cache: Path) -> Iterator[str]:
    """Yield what the data hold, who is in which group, and which model loads, line by line.

    Args:
        study: The study.
        tables: Its checked data.
        cache: What all studies of the home share; rendered pairs and downloaded models go there.

    Raises:
        StudyError: The model or its tokenizer cannot be used, or a group is too small after all drops.
    """
    yield from (f"data: {line}" for line in summary(tables.corpus))
    tables = render_tables(study, tables, cache)
    assert tables.rendered is not None
    for reason, pair_ids in tables.rendered.dropped.items():
        yield f"dropped: {len(pair_ids)} pairs, {reason}"
    gone = {pair_id for pair_ids in tables.rendered.dropped.values() for pair_id in pair_ids}
    for name, table in tables.groups.items():
        left = table[~table["pair_id"].isin(gone)]
        for group, members in left.groupby("group"):
            folds = members["fold"].value_counts()
            who = "everybody" if name == BASELINE else f"group {group}"
            yield (
                f"{name}: {who}: {folds.get('train', 0)} training and {folds.get('heldout', 0)} held-out "
                f"pairs of {members['user_id'].nunique()} users"
            )
    files = resolve_model(study.model, study.data, cache)
    model = load_model(files, study.training.dtype)
    yield f"model: {study.model.path} loads, {model.num_parameters() / 1e6:.4g} million weights"
    yield "not looked at: the cluster, and whether its cards hold the cells"
