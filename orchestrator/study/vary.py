"""Grids of settings: the `vary` block of a study file becomes one named method per combination of values."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import product
from typing import Any

from orchestrator.study.method import MethodTraining
from training.errors import StudyError
from training.hints import suggestion

VARY = "vary"  # the block of a study file that lists values by the dotted path of a key
EXAMPLE = "vary: {methods.wpo.beta: [0.05, 0.1]}"


def expanded(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a study's plain values with each varied method replaced by one method per combination.

    A method's name grows by each varied key and its value: `wpo_beta0.05`. `training.<key>` varies every
    method that is trained, and `methods.<name>.<key>` varies one. Each of the new methods is judged like any
    other, so the family of tests grows with them.

    Args:
        raw: The content of a study file. It is not changed.

    Raises:
        StudyError: A key cannot be varied, two entries or an entry and a method set the same key, a value is
            listed twice, a new name is taken, or the reference is varied and no longer the name of a method.
    """
    raw = dict(raw)
    axes = dict(_axes(raw.pop(VARY, None)))
    if not axes:
        return raw
    methods = raw.get("methods")
    if not isinstance(methods, dict):
        return raw  # which the study's own check refuses
    varied: dict[str, Any] = {}
    for name, method in methods.items():
        own = _axes_of(name, method or {}, axes)
        for values in product(*own.values()):
            chosen = dict(zip(own, values, strict=True))
            new_name = _name(name, chosen)
            if new_name in varied or (new_name in methods and new_name != name):
                raise StudyError(f"{VARY}: the name {new_name} is taken; rename methods.{new_name}")
            varied[new_name] = _with(method, chosen) if chosen else method
    for path in axes:
        _refuse_unused(path, methods)
    _check_reference(raw.get("reference", "dpo"), methods, varied)
    return raw | {"methods": varied}


def _axes(block: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield dotted path -> values; a key may hold dots or be written as nested mappings."""
    if block is None:
        return
    if not isinstance(block, Mapping):
        raise StudyError(f"{VARY}{path}: {block!r} is not a list of values; write it like {EXAMPLE}")
    for key, values in block.items():
        place = f"{path}.{key}"
        if isinstance(values, Mapping):
            yield from _axes(values, place)
            continue
        if not isinstance(values, list) or not values:
            raise StudyError(f"{VARY}{place}: {values!r} is not a list of values; write it like {EXAMPLE}")
        if any(isinstance(value, Mapping | list) for value in values):
            raise StudyError(f"{VARY}{place}: a value is a list or a mapping; vary single keys")
        texts = [_text(value) for value in values]
        for text in texts:
            if texts.count(text) > 1:
                raise StudyError(f"{VARY}{place}: {text} is listed twice; list each value once")
        yield place.removeprefix("."), values


def _axes_of(name: str, method: Mapping[str, Any], axes: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the keys of one method that are varied -> their values."""
    own = {
        path.removeprefix(f"methods.{name}."): values
        for path, values in axes.items()
        if path.startswith(f"methods.{name}.")
    }
    if own and method.get("published"):
        raise StudyError(
            f"{VARY}.methods.{name}: its numbers are published, so nothing of it is trained; remove the entry"
        )
    if method.get("published"):
        return {}
    for path, values in axes.items():
        if path.startswith("training."):
            if path in own:
                raise StudyError(
                    f"{VARY}.methods.{name}.{path}: {VARY}.{path} varies it, too; keep one of them"
                )
            if path.removeprefix("training.") in (method.get("training") or {}):
                raise StudyError(f"methods.{name}.{path}: {VARY}.{path} sets it, too; keep one of them")
            own[path] = values
    return own


def _refuse_unused(path: str, methods: Mapping[str, Any]) -> None:
    """Raise StudyError if a varied path is no key of a method and none that methods may change."""
    block, _, rest = path.partition(".")
    own = sorted(MethodTraining.model_fields)
    if block == "methods":
        name = next((name for name in methods if rest.startswith(f"{name}.")), None)
        if name is None:
            first = rest.partition(".")[0]
            hint = "name a key of it" if first in methods else suggestion(first, methods)
            raise StudyError(f"{VARY}.{path}: no key of a method; {hint}, as in {EXAMPLE}")
    elif block != "training":
        raise StudyError(f"{VARY}.{path}: only methods.<name>.<key> and training.<key> can be varied")
    elif rest not in own:
        raise StudyError(
            f"{VARY}.{path}: the same for all methods, since they are compared by it; of training, one can "
            f"vary {', '.join(own)}"
        )


def _check_reference(reference: Any, methods: Mapping[str, Any], varied: Mapping[str, Any]) -> None:
    if reference in methods and reference not in varied:
        names = [name for name in varied if name.startswith(f"{reference}_")]
        raise StudyError(
            f"reference: {reference} is varied, so name which one the others are compared with: "
            f"{' or '.join(names)}"
        )


def _with(method: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a method with the values of dotted keys."""
    changed: dict[str, Any] = deepcopy(method) if isinstance(method, dict) else {}
    for path, value in chosen.items():
        *blocks, key = path.split(".")
        place = changed
        for block in blocks:
            if not isinstance(place.get(block), dict):
                place[block] = {}
            place = place[block]
        place[key] = value
    return changed


def _name(method: str, chosen: Mapping[str, Any]) -> str:
    """Return the name of a method with these values, such as `wpo_beta0.05`."""
    return "_".join([method, *(f"{path.rpartition('.')[2]}{_text(value)}" for path, value in chosen.items())])


def _text(value: Any) -> str:
    """Return a value as it stands in a method's name."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)
