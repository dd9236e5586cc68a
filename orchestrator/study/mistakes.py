"""A mistake in a study file, explained in one line: the key, the value, the way out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from training.hints import suggestion

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

JsonSchema = Mapping[str, Any]
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # pydantic's error types for an unknown key
_BAD_NAME = "[key]"  # the last step of pydantic's location if a mapping's key is wrong, not its value


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return one of pydantic's complaints in one line: the key, the value, the way out.

    An unknown key comes first, since a key that is missing is often one that was mistyped.

    Args:
        error: Pydantic's complaints about a value.
        model: The model that refused the value; its schema supplies the valid keys and descriptions.
    """
    complaints = error.errors()
    first = next((each for each in complaints if each["type"] in _UNKNOWN_KEY), complaints[0])
    kind, value = first["type"], first["input"]
    location = _locate(model.model_json_schema(), first["loc"], kind)
    place = location.place
    if kind in _UNKNOWN_KEY:
        key = str(location.keys[-1])
        return f"{place}: unknown key {key!r}; {suggestion(key, location.parent.get('properties', {}))}"
    if kind == "missing":
        return f"{place}: missing; {location.help}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key, kinds = location.discriminator
        if kind == "union_tag_not_found":
            return f"{place}.{key}: missing; valid: {', '.join(sorted(kinds))}"
        tag = first["ctx"]["tag"]
        return f"{place}.{key}: unknown value {tag!r}; {suggestion(tag, kinds)}"
    message = _in_words(first)
    if not location.keys:  # a check of the whole study names the place itself
        return message
    if location.names_the_key:
        message = f"not a valid name: {message}"
    found = "null" if value is None else repr(value)
    return f"{place}: {message}" + ("" if isinstance(value, dict) else f" (found {found})")


# What pydantic says in words of its own, by the type of the error.
_WORDS = {
    "bool_parsing": "true or false is needed",
    "dict_type": "a block of names is needed",
    "float_parsing": "a number is needed",
    "float_type": "a number is needed",
    "int_from_float": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_type": "a whole number is needed",
    "list_type": "a list is needed, such as [a, b]",
    "model_type": "a block of keys is needed",
    "string_pattern_mismatch": "use letters and digits, and . _ - inside",
    "string_type": "text is needed; put it in quotes",
    "too_short": "at least {min_length} needed, {actual_length} given",
}


def _in_words(complaint: "ErrorDetails") -> str:
    """Return what is wrong with a value."""
    if words := _WORDS.get(complaint["type"]):
        return words.format(**complaint.get("ctx", {}))
    return complaint["msg"].removeprefix("Value error, ")


@dataclass(frozen=True)
class _Location:
    """Where a mistake is."""

    keys: tuple[str | int, ...]  # from the outermost block inwards, as in the study file
    parent: JsonSchema  # schema of the block that holds the last key
    node: JsonSchema  # schema of the last key's value
    description: str
    names_the_key: bool  # whether the last key itself is wrong, rather than its value

    @property
    def place(self) -> str:
        return ".".join(map(str, self.keys))

    @property
    def help(self) -> str:
        """The first line of what the schema says about the value."""
        return (self.description or "a value is needed here").splitlines()[0]

    @property
    def discriminator(self) -> tuple[str, list[str]]:
        """The key that chooses among the kinds of a block, and those kinds."""
        return self.node["discriminator"]["propertyName"], list(self.node["discriminator"]["mapping"])


def _locate(schema: JsonSchema, loc: tuple[str | int, ...], kind: str) -> _Location:
    """Follow pydantic's location through the JSON schema.

    A location has steps that are not keys of the study file: the alternative of a union that was tried, and a
    marker behind a wrong key. They are recognised by their position, since a user may give a split the same
    name.
    """
    keys: list[str | int] = []
    parent, node, description = schema, _resolved(schema, schema), ""
    in_mapping = False  # whether the last key is a name that the user chose
    for position, step in enumerate(loc):
        is_last = position == len(loc) - 1
        if in_mapping and is_last and step == _BAD_NAME and kind not in _UNKNOWN_KEY:
            return _Location(tuple(keys), parent, node, description, names_the_key=True)
        if _alternatives(node):
            node = _resolved(schema, _alternative(schema, node, str(step)))
            in_mapping = False
            continue
        keys.append(step)
        in_mapping = "properties" not in node
        parent, inside = node, _inside(node, str(step))
        node = _resolved(schema, inside)
        description = inside.get("description") or node.get("description", "")
    return _Location(tuple(keys), parent, node, description, names_the_key=False)


def _resolved(schema: JsonSchema, node: JsonSchema) -> JsonSchema:
    """Follow references. A single type that may also be null counts as that type."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        elif "anyOf" in node and not _alternatives(node):
            (node,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        else:
            return node


def _alternatives(node: JsonSchema) -> list[JsonSchema]:
    """Return the members of a union except null; an empty list if fewer than two are left."""
    union = node.get("oneOf", node.get("anyOf", []))
    members = [member for member in union if member.get("type") != "null"]
    return members if len(members) > 1 else []


def _alternative(schema: JsonSchema, node: JsonSchema, tag: str) -> JsonSchema:
    """Return the member of a union that a tag names; if the schema has no tags, the one that has keys."""
    mapping = node.get("discriminator", {}).get("mapping", {})
    if tag in mapping:
        return {"$ref": mapping[tag]}
    with_keys = (member for member in _alternatives(node) if "properties" in _resolved(schema, member))
    return next(with_keys, {})


def _inside(node: JsonSchema, key: str) -> JsonSchema:
    """Return the schema of a value in a block, a mapping or a list."""
    if key in node.get("properties", {}):
        value: JsonSchema = node["properties"][key]
        return value
    patterns = list(node.get("patternProperties", {}).values())
    value = patterns[0] if patterns else node.get("additionalProperties") or {}
    return value if isinstance(value, dict) else {}
