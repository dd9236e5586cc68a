"""What a report prints about a study: the published labels, and beside them what the evidence supports."""

from dataclasses import dataclass

import pandas as pd

from stats.cells import CellTables
from stats.evidence.controls import Controls
from stats.evidence.curves import LearningCurves
from stats.evidence.held_out import HeldOutEvidence
from stats.evidence.held_out_power import HeldOutPower
from stats.evidence.options import Options
from stats.evidence.seed_evidence import SeedEvidence
from stats.evidence.seed_power import SeedPower
from stats.evidence.words import OF_TWO_VERDICTS, carried
from stats.names import SPLIT
from stats.rule.changes import NO_SPLIT, SplitKey, reference_splits
from stats.rule.thresholds import PublishedRule

EVIDENCE_COLUMNS = ["estimate", "low_adjusted", "high_adjusted", "evidence"]


@dataclass(frozen=True)
class PublishedLabels:
    """What the published rule says.

    verdicts: the result of `stats.rule.verdicts.verdicts` for every planned split; INCOMPLETE where a planned
        cell is missing, WITHHELD where one failed a gate.
    changes: the result of `stats.rule.changes.changes`.
    sensitivity: the result of `stats.rule.sensitivity.leave_one_out`.
    rule_errors: the result of `stats.rule.rule_errors.rule_errors_by_method`.
    rule: the thresholds.
    """

    verdicts: pd.DataFrame
    changes: pd.DataFrame
    sensitivity: pd.DataFrame
    rule_errors: pd.DataFrame
    rule: PublishedRule


@dataclass(frozen=True)
class Comparison:
    """A study's methods, compared with their reference. Diffs, estimates and intervals are percentage points.

    families: (study, method) -> how many predicted splits its tests count over.
    tail: the evidence from the published metric, by seeds alone. heldout: the evidence from held-out
        outcomes; None without outcomes.
    tail_power, heldout_power: what the two designs could have detected.
    pooled: the result of `stats.evidence.pooled_arm.pooled_arm`; None where no baseline has outcomes.
    """

    reference: str
    options: Options
    cells: CellTables
    published: PublishedLabels
    families: dict[tuple[str, str], int]
    tail: SeedEvidence
    heldout: HeldOutEvidence | None
    tail_power: SeedPower
    heldout_power: HeldOutPower
    curves: LearningCurves
    controls: Controls | None
    pooled: pd.DataFrame | None = None

    @property
    def labels(self) -> pd.DataFrame:
        """Verdicts with the evidence beside them: estimate, low_adjusted, high_adjusted, evidence, carried.

        The evidence comes from held-out outcomes where there are any. Published cells have none, so there it
        comes from the tail diffs by seed. `carried` is the result of `stats.evidence.words.carried`.
        """
        heldout = self.heldout.diffs if self.heldout else None
        null_pp = self.published.rule.null_pp
        return _with_evidence(self.published.verdicts, "verdict", self.tail.diffs, heldout, null_pp)

    @property
    def change_labels(self) -> pd.DataFrame:
        """Changes with the evidence beside them, as in `labels`.

        FIXED, IMPROVED and REGRESSED say something about two verdicts, so both have to be borne out, too.
        """
        heldout = self.heldout.changes if self.heldout else None
        null_pp = self.published.rule.null_pp
        predicted = self.published.verdicts[[*SPLIT, "predicted"]]
        labelled = self.published.changes.merge(predicted, on=SPLIT, how="left")
        table = _with_evidence(labelled, "change", self.tail.changes, heldout, null_pp)
        own = {tuple(row[:3]): row[3] for row in self.labels[[*SPLIT, "carried"]].to_numpy()}
        for row in table.index[table["change"].isin(list(OF_TWO_VERDICTS))]:
            key: SplitKey = tuple(table.loc[row, SPLIT])
            reference = reference_splits(own, key[0], self.reference).get(key[2], NO_SPLIT)
            if not (own.get(key) == own.get(reference) == "yes"):
                table.loc[row, "carried"] = "no"
        return table


def _with_evidence(
    labelled: pd.DataFrame, label: str, tail: pd.DataFrame, heldout: pd.DataFrame | None, null_pp: float
) -> pd.DataFrame:
    """Join the held-out evidence of each split, or the tail's where a split has none."""
    columns = [*SPLIT, *EVIDENCE_COLUMNS]
    sources = [
        table.reindex(columns=columns) for table in (heldout, tail) if table is not None and len(table)
    ]
    evidence = pd.concat(sources).drop_duplicates(SPLIT) if sources else pd.DataFrame(columns=columns)
    table = labelled.merge(evidence, on=SPLIT, how="left")
    table["evidence"] = table["evidence"].astype(object).where(table["evidence"].notna(), "-")
    columns = [label, "predicted", "evidence", "low_adjusted", "high_adjusted"]
    table["carried"] = [
        carried(printed, predicted, word, (low, high), null_pp)
        for printed, predicted, word, low, high in table[columns].itertuples(index=False, name=None)
    ]
    return table
