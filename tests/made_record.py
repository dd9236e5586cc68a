"""A study's record without training: generated results, written as a sweep writes its own."""

from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.plan.tables import load_tables
from orchestrator.record import report
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.provenance import provenance
from orchestrator.record.result import TrialResult
from orchestrator.study import grid
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial


def fill(study: Study, home: Path) -> Ledger:
    """Finish every cell of the study with generated results, write its report, and return its record."""
    places, trials, tables = Places(study.study, home), grid.expand(study), load_tables(study)
    ledger, origin = Ledger(places), provenance()
    for number, trial in enumerate(trials):
        result = _result(trial, tables.groups[trial.split], np.random.default_rng(number))
        ledger.finish(ledger.start(trial, origin), result, {"attempts": "1"})
    report.write(study, tables.corpus, trials, ledger, places)
    return ledger


def _result(trial: Trial, groups: pd.DataFrame, rng: np.random.Generator) -> TrialResult:
    """A result with the tables and metrics of a trained cell, drawn at random."""
    training = trial.training
    curves, outcomes, metrics = [], [], {}
    held = groups[groups["fold"] == "heldout"]
    for arm in trial.arms:
        steps = np.arange(0, training.max_steps + 1, training.logging_steps)
        learned = 1 - np.exp(-steps / rng.uniform(10, 30))
        table = pd.DataFrame({"step": steps, "loss": np.log(2) - 0.2 * learned, "margin": 5 * learned})
        table["accuracy"] = (0.5 * (steps > 0) + 0.3 * learned + rng.normal(0, 0.03, len(steps))).clip(0, 1)
        curves.append(table.melt("step", var_name="metric").assign(arm=arm))
        margin = rng.normal(0.3, 1, len(held))
        scored = held.rename(columns={"group": "eval_group"})[["eval_group", "user_id", "item", "pair_id"]]
        outcomes.append(
            scored.assign(
                arm=arm,
                source_model="made-up",
                score_gap=rng.uniform(5, 95, len(held)).round(),
                margin=margin,
                correct=margin > 0,
            )
        )
        own = scored["eval_group"] == arm
        metrics |= {
            f"{arm}/pref_acc_tail": float(table["accuracy"].tail(len(steps) // 5).mean()),
            f"{arm}/pref_acc_heldout": float((margin > 0)[own].mean()),
            f"{arm}/margin_heldout": float(margin[own].mean()),
            f"{arm}/loss_step0": float(table["loss"].iloc[0]),
            f"{arm}/loss_final": float(table["loss"].iloc[-1]),
            f"{arm}/loss_tail": float(table["loss"].iloc[-1]),
            f"{arm}/margin_tail": float(table["margin"].iloc[-1]),
            f"{arm}/tokens_seen": 1000.0,
            f"{arm}/pairs_seen": float(training.max_steps * training.batch_size),
            f"{arm}/pairs_train": float(((groups["group"] == arm) & (groups["fold"] == "train")).sum()),
            f"{arm}/pairs_truncated": 0.0,
            f"{arm}/pairs_heldout": float(len(held)),
            f"{arm}/pairs_heldout_trained": 0.0,
        }
    if trial.groups:
        names = ("pref_acc_tail", "pref_acc_heldout", "margin_heldout")
        metrics |= {f"diff/{name}": metrics[f"A/{name}"] - metrics[f"B/{name}"] for name in names}
    return TrialResult(
        trial_id=trial.trial_id,
        metrics=metrics,
        curves=pd.concat(curves, ignore_index=True),
        outcomes=pd.concat(outcomes, ignore_index=True),
        facts={"geometry": "none", "hardware": "none: made-up results", "seconds_cell": "1"},
    )
