"""Study files: YAML, dotted overrides and environment variables become one checked `Study`."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from orchestrator.study.compiling import why_not_compiled
from orchestrator.study.engine import engine_of, why_not_trained
from orchestrator.study.mistakes import explain
from orchestrator.study.shape import AUTO, NO_DEEPSPEED, Shape
from orchestrator.study.study import Study
from orchestrator.study.vary import VARY, expanded
from training.errors import StudyError
from training.hints import suggestion
from training.objectives import check as check_method
from training.spec import TrainingSpec

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = next(folder / "configs" for folder in (_PACKAGE, _PACKAGE.parent) if (folder / "configs").is_dir())

EXTENDS = "extends"  # the key that names the study file of which a file says only what is different
NAMED_BLOCKS = ("splits", "methods", "conditions", VARY)  # mappings from names that the user chose

# Which environment variables a study file may name, beside those that ORCHESTRATOR_STUDY_VARIABLES lists: a
# study file is shared, and what it names ends up in the record.
STUDY_VARIABLES = ("PRISM_PAIRS",)


def _environment_variable(name: str, *default: Any) -> Any:
    """Return the value of an environment variable for `${oc.env:NAME}` or `${oc.env:NAME,default}`.

    Raises:
        StudyError: A study file may not name this variable, or it is not set and there is no default.
    """
    allowed = {*STUDY_VARIABLES, *os.environ.get("ORCHESTRATOR_STUDY_VARIABLES", "").split(",")}
    if name not in allowed:
        raise StudyError(
            f"${{oc.env:{name}}}: a study file may not read this variable, whose value would be recorded; if "
            f"it is no secret, set ORCHESTRATOR_STUDY_VARIABLES={name} (several: separated by commas)"
        )
    value = os.environ.get(name, *default)
    if value is None and not default:
        raise StudyError(f"${{oc.env:{name}}}: not set; set it, or give ${{oc.env:{name},default}}")
    return value


OmegaConf.register_resolver("oc.env", _environment_variable, replace=True)


def load(path: Path, overrides: Sequence[str] = (), seeds: Sequence[int] | None = None) -> Study:
    """Load a study file, apply the overrides, and return the checked study.

    Args:
        path: A study file, or the name of a shipped one.
        overrides: Dotted `key=value` words, applied in order; `null` removes a split, method or condition.
        seeds: Seeds for every method, also for those with seeds of their own; None leaves them as they are.

    Raises:
        StudyError: The file is unreadable, a key is unknown (the message suggests the nearest valid one), or
            a value is invalid.
    """
    path = _study_file(path, f"--config {path}")
    raw = _read(path, overrides)
    try:
        raw = expanded(raw)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    if seeds is not None:
        raw["seeds"] = list(seeds)
        for method in (raw.get("methods") or {}).values():
            if isinstance(method, dict):
                method.pop("seeds", None)
    given = [(word.partition("=")[0], word) for word in overrides]
    if seeds is not None:
        given.append(("seeds", f"--seeds {','.join(map(str, seeds))}"))
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise StudyError(_at_its_source(explain(error, Study), path, given)) from error
    for name, method in study.methods.items():
        try:
            check_method(method.objective, f"methods.{name}")
            _check_shape(study, name)
        except StudyError as error:
            raise StudyError(_at_its_source(str(error), path, given)) from error
    return study


def _check_shape(study: Study, method: str) -> None:
    """Refuse an engine that is not there, or that a method's model or workers rule out."""
    shape, place = study.shape_of(method), study.resources_of(method)
    training = study.training_of(method)
    settings = deepspeed_config(shape, training, place)
    if reason := why_not_trained(settings, study.model.lora, shape, training):
        raise StudyError(f"{place}.deepspeed: not {shape.deepspeed}: {reason}")
    if shape.compile and (reason := why_not_compiled(settings, study.model.lora, shape)):
        raise StudyError(f"{place}.compile: {reason}")


def deepspeed_config(shape: Shape, training: TrainingSpec, place: str = "resources") -> dict[str, Any] | None:
    """Return the DeepSpeed settings in configs/deepspeed/ that cells train under; None without DeepSpeed.

    Args:
        shape: What a cell runs on; its `deepspeed` names the settings.
        training: How its arms are trained, which decides what `deepspeed: auto` means.
        place: The key of the study file that holds the shape, for the message.

    Raises:
        StudyError: There are no settings with that name.
    """
    folder, name = CONFIGS / "deepspeed", engine_of(shape, training)
    if name == NO_DEEPSPEED:
        return None
    path = folder / f"{name}.json"
    if not path.is_file():
        names = [AUTO, NO_DEEPSPEED, *(file.stem for file in folder.glob("*.json"))]
        raise StudyError(f"{place}.deepspeed: no settings {name!r}; {suggestion(name, names)}")
    settings: dict[str, Any] = json.loads(path.read_text())
    return settings


def _study_file(path: Path, place: str) -> Path:
    """Return the file itself, or the shipped study file that a bare word names; `place` is what names it."""
    try:
        bare_word = len(path.parts) == 1 and not path.suffix and not path.exists()
        file = CONFIGS / f"{path}.yaml" if bare_word else path
        is_there = file.exists()
    except OSError as error:  # such as a name that is too long
        raise StudyError(f"{place}: cannot be read ({error.strerror}); name a study file") from error
    if file.is_dir():
        raise StudyError(f"{place}: a folder; name a study file in it")
    if not is_there:
        shipped = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
        raise StudyError(f"{place}: no such study file; shipped ones: {', '.join(shipped)}")
    return file


def _read(path: Path, overrides: Sequence[str]) -> Any:
    """Return the content of a study file as plain values, with the overrides applied."""
    config = _with_base(path)
    place = str(path)  # what a message names: the file, or the override that is applied
    with _readable(lambda: place):
        for place in overrides:
            try:
                _override(config, place)
            except InterpolationResolutionError:  # which is a ValueError, too
                raise
            except (ValueError, IndexError) as error:  # a position in a list that is no number, or too large
                raise StudyError(f"{place}: no such place in the study file; see --print-config") from error
        place = str(path)
        return OmegaConf.to_container(config, resolve=True)


def _with_base(path: Path, extended_by: tuple[Path, ...] = ()) -> DictConfig:
    """Return a study file, merged into the one that its `extends` names, if it names one."""
    with _readable(lambda: str(path)):
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig) or not config:
            raise StudyError(
                f"{path}: not a mapping of keys such as study, splits, methods and seeds; "
                "python -m orchestrator.new writes a study file"
            )
        base = config.pop(EXTENDS, None)
        if base is None:
            return config
        if path.resolve() in extended_by:
            raise StudyError(f"{path}: {EXTENDS}: the file extends itself; name another one")
        beside = path.parent / str(base)
        file = _study_file(beside if beside.is_file() else Path(str(base)), f"{path}: {EXTENDS}: {base}")
        below, above = _plain(_with_base(file, (*extended_by, path.resolve()))), _plain(config)
        for key, value in above.items():
            below[key] = _merged(below.get(key), value, names=key in NAMED_BLOCKS)
        return OmegaConf.create(below)


@contextmanager
def _readable(place: Callable[[], str]) -> Iterator[None]:
    """Turn what YAML and OmegaConf cannot read into one line that names the place."""
    try:
        yield
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError, TypeError, RecursionError) as error:
        if isinstance(error.__cause__, StudyError):  # a variable that the file may not read
            raise StudyError(f"{place()}: {error.__cause__}") from error
        reason = " ".join(str(error).split())
        raise StudyError(f"{place()}: not readable as YAML: {reason}; fix the YAML") from error


def _at_its_source(mistake: str, path: Path, given: Sequence[tuple[str, str]]) -> str:
    """Return a mistake behind what it is in: the last word of the command line that set it, or the file.

    Args:
        mistake: A line that begins with a dotted key and a colon.
        path: The study file.
        given: (key, word) of what the command line sets.
    """
    key, _, text = mistake.partition(": ")
    for given_key, word in reversed(given):
        if key == given_key:
            return f"{word}: {text}"
        if key.startswith(f"{given_key}.") or given_key.startswith(f"{key}."):
            return f"{word}: {mistake}"
    return f"{path}: {mistake}"


def _override(config: DictConfig, word: str) -> None:
    """Apply `key=value`."""
    key = word.partition("=")[0]
    value = OmegaConf.select(OmegaConf.from_dotlist([word]), key)
    block, _, name = key.partition(".")
    if value is None and block in NAMED_BLOCKS and name in (config.get(block) or {}):
        del config[block][name]
        return
    if OmegaConf.is_dict(value) and OmegaConf.is_dict(old := OmegaConf.select(config, key)):
        if not value and old:
            raise StudyError(
                f"{word}: changes nothing, since a block is changed key by key; say {key}.KEY=null"
            )
        value = _merged(_plain(old), _plain(value), names=key in NAMED_BLOCKS)
    OmegaConf.update(config, key, value, merge=False)


def _merged(old: Any, new: Any, names: bool = False) -> Any:
    """Return `old` with what `new` says: mappings are merged, any other value is replaced.

    If `names`, the keys are names that the user chose, and null removes one.
    """
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    merged = dict(old)
    for key, value in new.items():
        if names and value is None and key in merged:
            del merged[key]
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def _plain(node: Any) -> Any:
    """Return a node of OmegaConf as plain values, whose interpolations are not resolved yet."""
    return OmegaConf.to_container(node, resolve=False)
