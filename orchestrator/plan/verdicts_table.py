"""The verdicts so far, for a study whose evidence decides how many seeds there are."""

import math
from typing import TYPE_CHECKING

from rich.table import Table

from orchestrator.plan.grid_table import plain_table

if TYPE_CHECKING:
    import pandas as pd


def verdicts_table(verdicts: "pd.DataFrame") -> Table:
    """Return a table of the verdicts so far and of what would decide the open ones.

    Args:
        verdicts: One row per verdict, as `stats.evidence.sequential.decide` returns them.
    """
    table = plain_table("method", "split", "quantity", "verdict", "seeds", "would decide (80 % power)", "")
    for row in verdicts.to_dict("records"):
        needed = [
            f"{row[f'needed_{unit}']:.0f} {unit}" + (" (cheaper)" if unit == row["cheaper"] else "")
            for unit in ("seeds", "pairs")
            if math.isfinite(row[f"needed_{unit}"])
        ]
        labels = (row["method"], row["split"], row["quantity"], row["state"], str(row["seeds"]))
        table.add_row(*labels, " or ".join(needed), row["note"])
    return table
