"""Find out, by trying, how a model may be computed: packed, padded, or not at all.

A few made-up sequences are scored three ways: each alone through the model's own `model(...).logits`, packed,
and padded. The last two run in training mode with one tiny backward pass, so that dropout which is still on
shows, too. No list of architectures is needed, and a new architecture is right or refused.

Shape suffixes: N answer tokens of all sequences, K numbers of a gradient.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from training import hardware, packed
from training.errors import StudyError
from training.layout import Distance, Layout, LayoutCheck
from training.likelihood import Answers, logps, padded, token_values
from training.model import ModelFiles

TOLERANCE = 1e-4  # nats per token, and the relative distance of gradients
TIMES_PLAIN = 2.0  # in half precision: how much farther from float32 than plain logits in half precision
PROMPTS, ANSWERS = (7, 1, 12), ((9, 3), (16,), (1, 22, 6))  # tokens of the sequences
GRADIENT_NUMBERS = 2**22  # gradients are compared for the smallest parameters, which hold at most so many
# What a model that cannot be computed raises. Anything else, such as a lost device, is no property of it.
_UNABLE = (AttributeError, TypeError, ValueError, LookupError, NotImplementedError, AssertionError)

# What a card says for which a kernel was not built. Other errors of a card leave it unusable.
_NOT_BUILT = ("no kernel image", "invalid device function")

Values = tuple[
    Tensor, Tensor
]  # log-probabilities [N] and the gradient [K] of their mean, float32, on the CPU


def check_layout(model: PreTrainedModel, device: str) -> LayoutCheck:
    """Measure how a model may be computed on a device, and leave it there in evaluation mode.

    A way to compute it agrees with plain logits if no token differs by more than `TOLERANCE` from float32 on
    the CPU, or if its tokens differ by at most `TIMES_PLAIN` times as much as those of plain logits in the
    model's own precision on the device; likewise the gradients.

    Args:
        model: A model that `training.model.load_model` returned, on the CPU.
        device: Where it will be computed, for example `cuda`.

    Raises:
        StudyError: The model cannot be computed, its numbers are not finite, or neither layout agrees with
            plain logits.
    """
    answers = made_up_answers(model)
    try:
        with _float32(model):
            exact = values_of(model, _alone, answers)
        if not all(part.isfinite().all() for part in exact):
            raise StudyError(
                f"model {model.name_or_path}: its log-probabilities or their gradients are not finite; name "
                "another model"
            )
        model.to(device)
        plain = distance_of(values_of(model, _alone, answers), exact)
        packed_distance, reason = None, packed.refusal(model)
        if not reason:
            packed_distance, reason = _try_packed(model, answers, exact)
        if packed_distance and agrees(packed_distance, plain):
            return LayoutCheck(Layout.PACKED, hardware.device(), packed_distance, plain)
        if packed_distance:
            reason = f"packed it is {packed_distance} off"
        padded_distance = distance_of(values_of(model, _together(Layout.PADDED), answers, train=True), exact)
    except _UNABLE as error:
        raise StudyError(
            f"model {model.name_or_path}: {model.config.model_type} cannot be trained on text alone "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); name another model"
        ) from error
    if not agrees(padded_distance, plain):
        raise StudyError(
            f"model {model.name_or_path}: {model.config.model_type} computes other numbers in a batch than "
            f"for one sequence (padded: {padded_distance}; "
            f"packed: {packed_distance or reason}; allowed: {TOLERANCE}); name another model"
        )
    return LayoutCheck(Layout.PADDED, hardware.device(), padded_distance, plain, reason)


_checks: dict[tuple[ModelFiles, str, str], LayoutCheck] = {}


def check_in_this_process(model: PreTrainedModel, files: ModelFiles, device: str) -> LayoutCheck:
    """Return `check_layout` of the model that `files` holds, measured once per process, dtype and device.

    Every lane measures on the card that it trains on: cards, drivers and kernels of a cluster may differ.
    """
    key = (files, str(model.dtype), hardware.device())
    if key not in _checks:
        _checks[key] = check_layout(model, device)
    return _checks[key]


def made_up_answers(model: PreTrainedModel) -> Answers:
    """Return sequences of random tokens, none of them a special one. Lengths differ; some share a prompt."""
    config = model.config.get_text_config()
    named = (vars(part) for part in (model.config, config))
    special = [
        value
        for values in named
        for name, value in values.items()
        if name.endswith("token_id") and isinstance(value, int)
    ]
    vocabulary = np.setdiff1d(np.arange(config.vocab_size), special)
    rng = np.random.default_rng(0)

    def draw(tokens: int) -> list[int]:
        ids: list[int] = rng.choice(vocabulary, tokens).tolist()
        return ids

    ids: list[list[int]] = []
    starts: list[int] = []
    for prompt_tokens, answer_tokens in zip(PROMPTS, ANSWERS, strict=True):
        prompt = draw(prompt_tokens)
        ids += [prompt + draw(tokens) for tokens in answer_tokens]
        starts += [prompt_tokens] * len(answer_tokens)
    return Answers(ids, starts)


def _alone(model: PreTrainedModel, answers: Answers) -> Tensor:
    """Return log-probabilities [N], each sequence by its own call."""
    values = []
    for ids, start in zip(answers.ids, answers.starts, strict=True):
        sequence = torch.tensor([ids], device=model.device)
        logits = model(input_ids=sequence, use_cache=False).logits[0, start - 1 : -1].float()
        values.append(logps(logits, sequence[0, start:])[0])
    return torch.cat(values)


def _together(layout: Layout) -> Callable[[PreTrainedModel, Answers], Tensor]:
    """Return a function that returns log-probabilities [N] from one batch, computed as training does."""

    def compute(model: PreTrainedModel, answers: Answers) -> Tensor:
        return token_values(model, layout, logps, padded(answers))[0]

    return compute


def _try_packed(model: PreTrainedModel, answers: Answers, exact: Values) -> tuple[Distance | None, str]:
    """Return how far packed rows are from `exact`, or None and what the model raised."""
    try:
        return distance_of(values_of(model, _together(Layout.PACKED), answers, train=True), exact), ""
    except packed.NotPackable as error:
        return None, str(error)
    except (*_UNABLE, RuntimeError) as error:
        text = " ".join(str(error).split())
        of_card = isinstance(error, torch.AcceleratorError) and not any(part in text for part in _NOT_BUILT)
        if of_card or isinstance(error, torch.OutOfMemoryError):
            raise
        return None, f"packed it raises {type(error).__name__}: {text[:100]}"


def values_of(
    model: PreTrainedModel,
    compute: Callable[[PreTrainedModel, Answers], Tensor],
    answers: Answers,
    train: bool = False,
) -> Values:
    """Return what `compute` computes of the answers, in training mode or not, and the gradient of its mean.

    The model is left in evaluation mode.
    """
    model.train(train)
    try:
        values = compute(model, answers)
        parameters = _smallest(model)
        gradients = torch.autograd.grad(values.mean(), parameters, allow_unused=True)
    finally:
        model.eval()
    flat = [
        (torch.zeros_like(parameter) if gradient is None else gradient).float().flatten().cpu()
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]
    return values.detach().float().cpu(), torch.cat(flat)


def _smallest(model: PreTrainedModel) -> list[torch.nn.Parameter]:
    """Return the smallest parameters: norms and biases of every layer, and more where the model is small."""
    trainable = (parameter for parameter in model.parameters() if parameter.requires_grad)
    ordered = sorted(trainable, key=lambda parameter: parameter.numel())
    ends = np.cumsum([parameter.numel() for parameter in ordered])
    return ordered[: max(1, int(np.searchsorted(ends, GRADIENT_NUMBERS, side="right")))]


def distance_of(values: Values, exact: Values) -> Distance:
    """Return how far values are from other ones."""
    difference, gradient = (values[0] - exact[0]).abs(), values[1] - exact[1]
    return Distance(
        float(difference.max()), float(difference.mean()), float(gradient.norm() / exact[1].norm())
    )


def agrees(distance: Distance, plain: Distance) -> bool:
    """Whether a distance from exact numbers is allowed, where plain logits are `plain` from them."""
    near = distance.logps <= TOLERANCE or distance.mean_logps <= TIMES_PLAIN * plain.mean_logps
    return near and distance.gradient <= max(TOLERANCE, TIMES_PLAIN * plain.gradient)


@contextmanager
def _float32(model: PreTrainedModel) -> Iterator[None]:
    """Hold the model's weights as float32 in the block; half precision converts there and back exactly.

    Layers of 4 bits compute in float32 as well.
    """
    of_4_bits = [
        (module, module.compute_dtype) for module in model.modules() if hasattr(module, "compute_dtype")
    ]
    for module, _ in of_4_bits:
        module.compute_dtype = torch.float32
    tensors = [
        (tensor, tensor.dtype)
        for tensor in chain(model.parameters(), model.buffers())
        if tensor.is_floating_point() and tensor.dtype != torch.float32
    ]
    for tensor, _ in tensors:
        tensor.data = tensor.data.float()
    try:
        yield
    finally:
        for tensor, dtype in tensors:
            tensor.data = tensor.data.to(dtype)
        for module, dtype in of_4_bits:
            module.compute_dtype = dtype
