"""Use weights that ZeRO stage 3 has partitioned over the workers.

Stage 3 gathers the weights of a module when the module is called. What reads weights in another way gathers
them here; all workers do so at the same point. Weights that are not partitioned are left as they are.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


def is_partitioned(weight: nn.Parameter) -> bool:
    """Return whether ZeRO stage 3 keeps a weight, of which a worker may hold a part alone."""
    return hasattr(weight, "ds_id")


@contextmanager
def gathered(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """Hold weights whole within the block, for reading."""
    partitioned: list[Any] = [weight for weight in weights if is_partitioned(weight)]
    if not partitioned:
        yield
        return
    from deepspeed.runtime.zero import GatheredParameters
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    # The weights of a module that is running are gathered already, and would be partitioned too early.
    apart = [weight for weight in partitioned if weight.ds_status is not ZeroParamStatus.AVAILABLE]
    with GatheredParameters(apart, enabled=bool(apart)):
        yield


def make_whole(model: nn.Module) -> None:
    """Turn the partitioned weights of a model, whose engine is destroyed, into plain ones on every worker."""
    for weight in model.parameters():
        if is_partitioned(weight):
            with gathered([weight]):
                whole = weight.data.clone()
            vars(weight).clear()
            weight.data = whole
