"""A mistake in a study file in one line: the key, the value found, the way out."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


def known(wrong: str, valid: Iterable[str]) -> str:
    """The way out of a wrong name: the nearest valid one and all of them."""
    names = sorted(valid)
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}valid: {', '.join(names)}"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Pydantic's first complaint about a `model` in one line: key, value, way out."""
    schema = model.model_json_schema()
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in _TAGS) or "study"
    if first["type"] == "extra_forbidden":
        key = [part for part in first["loc"] if part not in _TAGS][-1]
        return f"{place}: unknown key {key!r}; {known(str(key), _fields(schema, first['loc']))}"
    if first["type"] == "missing":
        return f"{place}: missing; {_field_help(schema, first['loc'])}"
    value = first["input"]
    shown = "" if isinstance(value, dict) else f" (found {value!r})"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{shown}"


# Discriminator tags stand in pydantic's locations but in no study file.
_TAGS = {
    "twin", "prism", "pairs", "category", "median", "random", "listed", "adaptive", "literal", "[key]",
}  # fmt: skip


def _fields(schema: dict[str, Any], loc: tuple[Any, ...]) -> list[str]:
    """Names valid at a place of the study, read from pydantic's own JSON schema."""
    node = schema
    for part in loc[:-1]:
        node = _step(schema, node, str(part))
    return list(_resolve(schema, node).get("properties", {}))


def _field_help(schema: dict[str, Any], loc: tuple[Any, ...]) -> str:
    node = schema
    for part in loc:
        node = _step(schema, node, str(part))
    description: str = node.get("description") or _resolve(schema, node).get(
        "description", "a value is needed here"
    )
    return description.splitlines()[0]


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and of alternatives the one that has keys."""
    while True:
        choices = node.get("anyOf", []) + ([] if "discriminator" in node else node.get("oneOf", []))
        node = next((choice for choice in choices if "$ref" in choice), node)
        if "$ref" not in node:
            return node
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]


def _step(schema: dict[str, Any], node: dict[str, Any], part: str) -> dict[str, Any]:
    node = _resolve(schema, node)
    if "discriminator" in node and part in node["discriminator"]["mapping"]:
        return {"$ref": node["discriminator"]["mapping"][part]}
    if part == "adaptive":
        return node
    if part in node.get("properties", {}):
        found: dict[str, Any] = node["properties"][part]
        return found
    patterns = list(node.get("patternProperties", {}).values())
    inside: Any = node.get("additionalProperties") or (patterns[0] if patterns else {})
    return inside if isinstance(inside, dict) else {}
