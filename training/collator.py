"""A collator that keeps columns which TRL's leaves out."""

from typing import Any

import torch


class KeepsColumns:
    """Adds columns of the rows, where they have them, to another collator's batch: shape [pairs] each."""

    def __init__(self, collator: Any, columns: tuple[str, ...]) -> None:
        self.collator, self.columns = collator, columns

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = self.collator(rows)
        kept = [column for column in self.columns if column in rows[0]]
        return {**batch, **{column: torch.tensor([row[column] for row in rows]) for column in kept}}
