"""Count what the stages of DeepSpeed's ZeRO keep on a worker's card and on its machine.

ZeRO divides among a cell's workers what AdamW updates (stage 2), or the weights as well (stage 3; Rajbhandari
et al. 2020, arXiv 1910.02054). This module imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.spec import TrainingSpec

# DeepSpeed: elements of `reduce_bucket_size`; stage 2 allocates them with the first gradient
BUCKET = 500_000_000
LIVE = 1_000_000_000  # DeepSpeed: elements that stage 3 keeps gathered (`stage3_max_live_parameters`)
SUB_GROUP = 1_000_000_000  # DeepSpeed: elements that stage 3 updates at once (`sub_group_size`)
FLOAT32 = 4  # bytes per number
# bitsandbytes: moments of 8 bits, with a float32 per 256 of them; those of smaller tensors are float32
MIN_8_BIT, MOMENT_BLOCK = 4096, 256


@dataclass(frozen=True)
class Weights:
    """The weights of an arm, or of arms side by side.

    trained: Elements -> tensors of that size, of the weights that are trained.
    frozen: Elements of all others.
    largest: Elements of the largest tensor.
    width: Bytes per number.
    """

    trained: Mapping[int, int]
    frozen: int
    largest: int
    width: int

    @property
    def trained_elements(self) -> int:
        return sum(size * count for size, count in self.trained.items())


@dataclass(frozen=True)
class ZeroStates:
    """Bytes that a stage keeps, without activations.

    states: All the time: weights; of those that are trained, also a float32 copy and AdamW's two moments.
    gradients: Gradients that earlier micro-batches have accumulated.
    update: Gradients during the optimiser's step.
    bucket: Gradients on their way to other workers, during a backward pass.
    gathered: Weights that are gathered for a forward or backward pass.
    outside: What is held besides the states before and after training.
    host: What is offloaded to the memory of the machine.
    """

    states: int
    gradients: int
    update: int
    bucket: int = 0
    gathered: int = 0
    outside: int = 0
    host: int = 0


def zero_states(
    weights: Weights, training: TrainingSpec, workers: int, deepspeed: Mapping[str, Any] | None
) -> ZeroStates:
    """Count what one of an arm's workers keeps under DeepSpeed's settings, a file of configs/deepspeed/.

    Without DeepSpeed, it is what stage 0 keeps.
    """
    if deepspeed is None:
        return _stage_0(weights, training)
    zero = deepspeed["zero_optimization"]
    if zero["stage"] == 3:
        return _stage_3(weights, training, workers, zero)
    if zero["stage"]:
        return _stage_1_or_2(weights, training, workers, zero)
    return _stage_0(weights, training)


def moments(sizes: Mapping[int, int], training: TrainingSpec) -> int:
    """Return the bytes of AdamW's two moments of tensors; `sizes` is elements -> number of such tensors."""
    small = sum(size * count for size, count in sizes.items() if size < MIN_8_BIT)
    large = sum(size * count for size, count in sizes.items()) - small
    of_large = 1 + FLOAT32 / MOMENT_BLOCK if training.optimizer == "adamw_8bit" else FLOAT32
    return int(2 * (FLOAT32 * small + of_large * large))


def _stage_0(weights: Weights, training: TrainingSpec) -> ZeroStates:
    """Every worker keeps everything."""
    width, trained = weights.width, weights.trained_elements
    float32_copy = _float32_copy(width)
    states = width * weights.frozen + (width + float32_copy) * trained + moments(weights.trained, training)
    return ZeroStates(states, width * trained, (width + float32_copy) * trained)


def _stage_1_or_2(
    weights: Weights, training: TrainingSpec, workers: int, zero: Mapping[str, Any]
) -> ZeroStates:
    """Each worker updates its part of the weights, which is one tensor; stage 2 keeps no other gradients."""
    width, trained = weights.width, weights.trained_elements
    part = -(-trained // workers)
    contiguous = zero.get("contiguous_gradients", True)
    return ZeroStates(
        states=width * (weights.frozen + trained) + FLOAT32 * part + moments({part: 1}, training),
        gradients=width * (part if zero["stage"] > 1 else trained),
        update=(2 * width + _float32_copy(width)) * part,
        bucket=width * zero.get("reduce_bucket_size", BUCKET) if contiguous else 0,
    )


def _stage_3(weights: Weights, training: TrainingSpec, workers: int, zero: Mapping[str, Any]) -> ZeroStates:
    """Each worker keeps a part of everything, and gathers the weights of a layer when it is computed.

    The buffer of its gradients is never freed, so it is one of the states.

    With `offload_optimizer`, float32 weights, moments and gradients (also their float32 copy) are kept on the
    machine, with `offload_param` the weights as well. One worker alone gathers nothing that is on its card.
    """
    width, trained = weights.width, weights.trained_elements
    whole = width * (weights.frozen + trained)
    part, part_trained = -(-(weights.frozen + trained) // workers), -(-trained // workers)
    own_weights, own_gradients = width * part, width * part_trained
    updated = FLOAT32 * part_trained + moments({part_trained: 1}, training)
    float32_gradients = FLOAT32 * part_trained
    weights_on_card, updated_on_card = "offload_param" not in zero, "offload_optimizer" not in zero
    live = width * (zero.get("stage3_max_live_parameters", LIVE) + weights.largest)
    buffer = FLOAT32 * min(trained, zero.get("sub_group_size", SUB_GROUP))
    return ZeroStates(
        states=width * zero.get("reduce_bucket_size", BUCKET)
        + (own_weights if weights_on_card else 0)
        + (updated + own_gradients if updated_on_card else 0),
        gradients=0,
        update=float32_gradients if updated_on_card else 0,
        gathered=min(whole, live) if workers > 1 or not weights_on_card else 0,
        # The whole model, or float32 gradients with which DeepSpeed sets up AdamW.
        outside=max(whole, buffer if updated_on_card else 2 * buffer),
        host=(0 if weights_on_card else own_weights)
        + (0 if updated_on_card else updated + own_gradients + float32_gradients),
    )


def _float32_copy(width: int) -> int:
    """Return the bytes per number of a copy in float32; none is made of what is float32 already."""
    return FLOAT32 if width < FLOAT32 else 0
