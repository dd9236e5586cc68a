"""The plan that a study's evidence is judged by: what it predicts, and the rules of judging."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from orchestrator.study.seeds import seeds_for
from orchestrator.study.study import Study

DIGEST_LENGTH = 12
ABSENT = "(absent)"
Judging = dict[str, Any]  # dotted key of the study file -> value


def judging_of(study: Study) -> Judging:
    """Return the keys of a study that decide how its outcomes are judged, as JSON values by dotted key.

    These are the splits with their predictions, the methods and their reference (the family of tests), the
    seeds, the thresholds and margins, and what becomes of missing and of diverged cells.
    """
    nested = {
        "splits": {
            name: split.model_dump(mode="json")
            for name, split in study.grid_splits.items()
            if name not in study.controls.splits
        },
        "methods": {
            name: method.model_dump(mode="json", exclude={"resources"})
            for name, method in study.methods.items()
        },
        "reference": study.reference,
        "seeds": study.adaptive.model_dump(mode="json") if study.adaptive else study.seeds,
        "verdicts": vars(study.verdicts),
        "equivalence_margin_pp": study.equivalence_margin_pp,
        "missing": study.missing,
        "divergence": study.divergence.model_dump(mode="json"),
        "controls": study.controls.model_dump(mode="json"),
        "curve_window": list(study.curve_window),
    }
    return dict(_flattened("", nested))


def digest(judging: Judging) -> str:
    """Return the hash by which a report names a plan."""
    text = json.dumps(judging, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def added_seeds(sealed: Judging, study: Study, method: str, split: str) -> frozenset[int]:
    """Return the seeds of a method in a split that a sealed plan did not have: those that were added to it.

    The first seeds of an adaptive study are its plan, and all others are added as the evidence asks for them.
    A method that the sealed plan did not have has none.
    """
    seeds = frozenset(study.seeds_of(method, split))
    if study.adaptive:
        listed = study.methods[method].seeds
        return frozenset() if listed else seeds - frozenset(study.seeds_of(method)[: study.adaptive.start])
    own = f"methods.{method}.seeds"
    by_split = {
        key.removeprefix(f"{own}."): value for key, value in sealed.items() if key.startswith(f"{own}.")
    }
    planned = sealed.get(own) or by_split or sealed.get("seeds")
    known = any(key.startswith(f"methods.{method}.") for key in sealed)
    return seeds - frozenset(seeds_for(split, planned)) if known and planned else frozenset()


def differences(before: Judging, after: Judging) -> list[str]:
    """Return `key: old -> new` for each key that differs, in the order of the keys."""
    keys = sorted(key for key in {**before, **after} if before.get(key, ABSENT) != after.get(key, ABSENT))
    return [f"{key}: {before.get(key, ABSENT)} -> {after.get(key, ABSENT)}" for key in keys]


def _flattened(prefix: str, value: Any) -> "list[tuple[str, Any]]":
    if not isinstance(value, Mapping) or not value:
        return [(prefix, value)]
    dot = "." if prefix else ""
    return [pair for key, inner in value.items() for pair in _flattened(f"{prefix}{dot}{key}", inner)]
