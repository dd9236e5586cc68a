"""Finds where a program would wait for a GPU, without one."""

import traceback
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# The operations that read a tensor's values: `item()` first, which CUDA's masked fill calls for its value.
READS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.masked_fill.Tensor,
    aten.masked_fill_.Tensor,
}


class Waits(TorchDispatchMode):
    """Counts how often a tensor's values are needed on the host, and the operations that do any work.

    What happens while a batch is collated does not count: that is the host's own memory.

    by_module: The number of waits by the module that needed the values.
    operations: The number of operations other than views, each a launch or more on a card.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_module: Counter[str] = Counter()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masked = func is aten.index.Tensor and any(
            part is not None and part.dtype == torch.bool for part in args[1]
        )
        if not func.is_view:
            self.operations += 1
        if func in READS or masked:
            module = _calling_module()
            if module:
                self.by_module[module] += 1
        return func(*args, **(kwargs or {}))


def _calling_module() -> str:
    """Return the module that needs the values; "" while a batch is collated."""
    names = [frame.f_globals["__name__"] for frame, _ in traceback.walk_stack(None)]
    if "torch.utils.data._utils.fetch" in names:
        return ""
    return next(name for name in names if name != __name__ and name.split(".")[0] != "torch")
