"""Study files: YAML, dotted overrides and environment variables become one checked `Study`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from orchestrator.study.mistakes import explain, known
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from training.errors import StudyError
from training.objectives import check as check_method

_PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = next(folder / "configs" for folder in (_PACKAGE, _PACKAGE.parent) if (folder / "configs").is_dir())


def load(path: Path, overrides: Sequence[str] = ()) -> Study:
    """The study of `path`, or the shipped one of that name, with dotted `key=value` overrides applied.

    Raises:
        StudyError: unreadable file, unknown key (answered with the nearest valid one), or bad value.
    """
    if not path.is_file() and not path.suffix:
        path = CONFIGS / f"{path.name}.yaml"
    if not path.is_file():
        shipped = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
        raise StudyError(f"{path}: no such study file; shipped ones: {', '.join(shipped)}")
    place = str(path)
    try:
        config = OmegaConf.load(path)
        if not isinstance(config, DictConfig):
            raise StudyError(
                f"{path}: a study file is a mapping of keys such as study, data, splits, methods, seeds"
            )
        for place in overrides:
            try:
                _override(config, place)
            except ValueError as error:  # a list's place that is no number
                raise StudyError(f"{place}: no such place in the study file; see --print-config") from error
        place = str(path)
        raw = OmegaConf.to_container(config, resolve=True)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError, TypeError) as error:
        raise StudyError(f"{place}: not readable as YAML: {' '.join(str(error).split())}; mend it") from error
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise StudyError(f"{path}: {explain(error, Study)}") from error
    for name, method in study.methods.items():
        check_method(method.objective, f"{path}: methods.{name}")
        deepspeed_config(study.shape_of(name), f"{path}: {study.resources_of(name)}")
    return study


def _override(config: Any, word: str) -> None:
    """Apply `key=value`: a mapping is merged into a mapping, anything else takes the old value's place."""
    key = word.partition("=")[0]
    value = OmegaConf.select(OmegaConf.from_dotlist([word]), key)
    both = OmegaConf.is_dict(value) and OmegaConf.is_dict(OmegaConf.select(config, key))
    OmegaConf.update(config, key, value, merge=both)


def deepspeed_config(shape: Shape, place: str = "resources") -> dict[str, Any]:
    """The DeepSpeed settings that the resources name, from configs/deepspeed/."""
    folder = CONFIGS / "deepspeed"
    path = folder / f"{shape.deepspeed}.json"
    if not path.is_file():
        names = [file.stem for file in folder.glob("*.json")]
        wanted = shape.deepspeed
        raise StudyError(f"{place}.deepspeed: no settings {wanted!r}; {known(wanted, names)}")
    settings: dict[str, Any] = json.loads(path.read_text())
    return settings
