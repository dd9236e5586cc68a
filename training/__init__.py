"""Train one arm of a study from Python: read pairs, score them once, tune a model on them.

Importing this package loads neither torch nor pandas; a name loads its module when it is first used.

Example:
    Use made-up people and pairs, and a tiny model that is built from their text in a few seconds:

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import training
    >>> data = training.TwinData(users=20, history="none")
    >>> model = training.ModelSpec(path="tiny")
    >>> spec = training.TrainingSpec(
    ...     max_steps=4, batch_size=4, learning_rate=1e-3, max_length=96, dtype="float32", logging_steps=2
    ... )
    >>> pairs = training.load_corpus(data).pairs.head(40)

    Score them under the reference model. The second call finds the scores in the cache:

    >>> folder = TemporaryDirectory()
    >>> cache = Path(folder.name)
    >>> scored = training.score(pairs, model, data, spec, cache)
    >>> training.score(pairs, model, data, spec, cache).computed
    False

    Tune the model with WPO on the first 32 pairs, and evaluate it on the others:

    >>> table = training.open_scored(scored.path)
    >>> task = training.ArmTask(
    ...     name="example arm A",
    ...     model=training.resolve_model(model, data, cache),
    ...     method=training.MethodSpec(use_weighting=True),
    ...     training=spec,
    ...     seed=0,
    ...     rows=np.arange(32),
    ... )
    >>> result = training.train_arm(task, table, training.Execution(micro_batch=4, check=scored.check))
    >>> round(result.summary["loss_step0"], 3)  # log 2: the model is still its own reference
    0.693
    >>> margins = training.heldout_margins(
    ...     result.model, table, np.arange(32, 40), spec.max_length, task.name, result.layout
    ... )
    >>> list(margins.columns)
    ['pair_id', 'margin', 'likelihood_gap']
    >>> folder.cleanup()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.arm import ArmResult, ArmTask, Execution, train_arm
    from training.data.corpus import Corpus
    from training.data.sources import load_corpus
    from training.errors import OutOfMemory, Preempted, StudyError
    from training.evaluate import heldout_margins
    from training.model import ModelFiles
    from training.model_path import resolve_model
    from training.scoring import Scored, open_scored, score
    from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData
    from training.table_data import TableData

__all__ = [
    "ArmResult",
    "ArmTask",
    "Corpus",
    "Execution",
    "MethodSpec",
    "ModelFiles",
    "ModelSpec",
    "OutOfMemory",
    "Preempted",
    "Scored",
    "StudyError",
    "TableData",
    "TrainingSpec",
    "TwinData",
    "heldout_margins",
    "load_corpus",
    "open_scored",
    "resolve_model",
    "score",
    "train_arm",
]

_HOMES = {
    "training.arm": ("ArmResult", "ArmTask", "Execution", "train_arm"),
    "training.data.corpus": ("Corpus",),
    "training.data.sources": ("load_corpus",),
    "training.errors": ("OutOfMemory", "Preempted", "StudyError"),
    "training.evaluate": ("heldout_margins",),
    "training.model": ("ModelFiles",),
    "training.model_path": ("resolve_model",),
    "training.scoring": ("Scored", "open_scored", "score"),
    "training.spec": ("MethodSpec", "ModelSpec", "TrainingSpec", "TwinData"),
    "training.table_data": ("TableData",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
