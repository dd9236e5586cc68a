"""What the record knows of a study before anything is planned: its ledger, and its grid with token ids."""

from typing import TYPE_CHECKING

from orchestrator.record.places import Places
from orchestrator.study import grid
from orchestrator.study.study import Study
from orchestrator.study.trial import NOT_RENDERED, Trial

if TYPE_CHECKING:
    from orchestrator.record.ledger import Ledger
    from orchestrator.record.renderings import RecordedRendering


def recorded_grid(study: Study, ledger: "Ledger | None") -> tuple[list[Trial], "RecordedRendering | None"]:
    """Return a study's grid, and how its pairs were last rendered; None if the record does not know.

    The grid has the token ids that the record knows for the study's settings. Without any, no cell with these
    settings can be finished, so this never renders pairs.
    """
    rendering = ledger.renderings.get(grid.rendering_key(study)) if ledger else None
    holds = rendering is not None and rendering.holds_today
    return grid.expand(study, rendering.tokens if rendering and holds else NOT_RENDERED), rendering


def existing_ledger(places: Places) -> "Ledger | None":
    """Return the study's ledger; None if nothing is recorded under its name, since a plan creates nothing."""
    if places.database_file and not places.database_file.exists():
        return None  # without an import of mlflow, which takes seconds

    from orchestrator.record.experiment import recorded_studies
    from orchestrator.record.ledger import Ledger

    return Ledger(places) if places.study in recorded_studies(places) else None
