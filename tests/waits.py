"""Where a program would wait for a GPU, found without one."""

import traceback
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default}  # first: item()


class Waits(TorchDispatchMode):
    """`seen`: how often a tensor's values were needed on the host, by the module that asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masked = func is aten.index.Tensor and any(
            part is not None and part.dtype == torch.bool for part in args[1]
        )
        if func in READS or masked:
            self.seen[_asking()] += 1
        return func(*args, **(kwargs or {}))


def _asking() -> str:
    names = (frame.f_globals["__name__"] for frame, _ in traceback.walk_stack(None))
    return next(name for name in names if name != __name__ and name.split(".")[0] != "torch")
