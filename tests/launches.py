"""Counts the operations of a step by torch's profiler, which sees what is compiled, too.

`waits.Waits` sees every operation by itself, but torch compiles nothing while it looks.
"""

from collections import Counter
from typing import Any

# Names of operations that compute nothing, and of those that are made of others.
VIEWS = {
    "_unsafe_view", "alias", "as_strided", "detach", "expand", "item", "lift_fresh", "narrow", "permute",
    "result_type", "select", "slice", "split_with_sizes", "squeeze", "t", "transpose", "unbind",
    "unsqueeze", "view", "view_as", "is_nonzero", "expand_as", "split", "unfold",
}  # fmt: skip
OF_OTHERS = {
    "__and__", "__or__", "chunk", "contiguous", "embedding_backward", "flatten", "flatten_dense_tensors",
    "_has_compatible_shallow_copy_type", "index_select_backward", "isfinite", "linear", "log_sigmoid",
    "matmul", "pad", "reshape", "silu_backward", "to", "unflatten_dense_tensors", "where",
}  # fmt: skip
FUSED = "fused"  # the name under which kernels of compiled graphs are counted


def launches(events: Any) -> Counter[str]:
    """Return how many operations other than views the events of a profile hold, by name.

    What an operation calls in its turn is a part of it. Kernels of graphs are there if torch was told so
    (`torch._inductor.config.cpp.enable_kernel_profile`).
    """
    found: Counter[str] = Counter()
    open_events = [event for event in events if event.cpu_parent is None]
    while open_events:
        event = open_events.pop()
        library, _, name = event.name.partition("::")
        if "cpp_fused" in event.name:
            found[FUSED] += 1
        elif library not in ("aten", "stand_in") or name in OF_OTHERS:
            open_events += event.cpu_children
        elif name not in VIEWS:
            found[event.name] += 1
    return found
