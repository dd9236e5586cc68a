"""What decides a pair's WPO weight, over all pairs of a study: python -m orchestrator.weights."""

import shutil
from collections.abc import Sequence

import pandas as pd

from orchestrator import cli
from orchestrator.plan.tables import tables
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import places
from orchestrator.run.cluster import cluster
from orchestrator.run.jobs import score, score_on_lanes
from orchestrator.run.schedule import lanes
from orchestrator.run.share import sized
from stats.names import BASELINE
from stats.page import weight_report
from training.scoring import Shard
from training.weights import pair_weights


def main(argv: Sequence[str] | None = None) -> int:
    """Score the pairs unless they are scored; figures, tables and a page go to disk and into MLflow."""
    study, _ = cli.study_of(cli.parser("weights", __doc__), argv)
    here, data = places(study), tables(study)

    def on_a_cluster(shards: Sequence[Shard]) -> None:
        with cluster():
            shape = sized(study, here.cache).shape_of(study.reference)
            with lanes(study, here, lambda: {shape: len(shards)}) as (desk, _):
                score_on_lanes(study, desk, shards)

    scored = score(study, data, here, on_a_cluster)
    about = data.corpus.pairs[["pair_id", "user_id", "source_model", "score_gap"]]
    pairs = about.merge(pair_weights(scored.path), on="pair_id", validate="one_to_one")
    groups = [table.assign(split=name) for name, table in data.groups.items() if name != BASELINE]
    shutil.rmtree(here.weights, ignore_errors=True)
    page = weight_report.write(
        pairs, pd.concat(groups), study.study, data.corpus.generated, here.weights, study.language
    )
    ledger = Ledger(here)
    ledger.publish(here.weights, "weights", {"weighed_pairs": str(len(pairs))})
    print(f"weights of {len(pairs)} pairs: {page}\nMLflow: {ledger.page}")
    return 0


if __name__ == "__main__":
    cli.exit_with(main)
