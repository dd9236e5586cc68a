"""Show what determines a pair's WPO weight, over all pairs of a study."""

import logging
from collections.abc import Sequence

import pandas as pd

from orchestrator import cli
from orchestrator.plan.tables import load_tables, render_tables
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import places_of
from orchestrator.record.replaced import replaced
from orchestrator.run.cluster import cluster
from orchestrator.run.fleet import open_fleet
from orchestrator.run.jobs import score, score_on_lanes
from orchestrator.run.share import resolve_auto
from stats.names import BASELINE
from stats.page import weight_report
from training.shards import Shard
from training.weights import pair_weights


def main(argv: Sequence[str] | None = None, program: str = "python -m orchestrator.weights") -> int:
    """Score the pairs if necessary, and write a page, tables and figures to disk and to MLflow.

    The exit code is 0.
    """
    study, _ = cli.study_of(cli.parser(program, __doc__), argv)
    logging.getLogger("DeepSpeed").disabled = True  # in this process, which trains nothing
    places, data = places_of(study), load_tables(study)
    places.create()
    data = render_tables(study, data, places.cache)

    def on_a_cluster(shards: Sequence[Shard]) -> None:
        with cluster():
            shape = resolve_auto(study, places.cache).shape_of(study.reference)
            with open_fleet(study, places, lambda: {shape: [1.0] * len(shards)}) as (desk, _):
                score_on_lanes(desk, study.faults.max_attempts, shards)

    scored = score(study, data, places, on_a_cluster)
    labels = data.corpus.pairs[["pair_id", "user_id", "source_model", "score_gap"]]
    pairs = labels.merge(pair_weights(scored.path), on="pair_id", validate="one_to_one")
    groups = [table.assign(split=name) for name, table in data.groups.items() if name != BASELINE]
    ledger = Ledger(places)
    with replaced(places.weights) as folder:
        page = weight_report.write(
            pairs, pd.concat(groups), study.study, data.corpus.generated, folder, study.language
        )
        ledger.study_run.publish(folder, "weights", {"weighed_pairs": str(len(pairs))})
    print(f"weights of {len(pairs)} pairs: {places.weights / page.name}\nMLflow: {ledger.page}")
    return 0


if __name__ == "__main__":
    cli.exit_with(main)
