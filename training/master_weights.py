"""AdamW of an arm that one worker trains without DeepSpeed.

Its numbers are those of ZeRO stage 2, with fewer launches, and it waits for no device. Weights in half
precision are rounded from float32 copies (Micikevicius et al. 2018, arXiv 1710.03740).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-6  # DeepSpeed adds it to the norm of the gradients


class MasterWeights(torch.optim.AdamW):
    """AdamW that clips gradients, and leaves out a step whose gradients are not finite.

    The copies of a group of weights lie in one row, which is what AdamW updates. Weights in float32 have no
    copies.

    Args:
        groups: torch's groups of the weights.
        max_norm: Largest norm of all gradients.
        adamw: Further arguments of torch's AdamW.

    Attributes:
        skipped: The number of steps that were left out.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], max_norm: float, **adamw: Any) -> None:
        groups = [group for group in groups if group["params"]]
        weights = [weight for group in groups for weight in group["params"]]
        self._copied: list[list[Tensor]] = []  # the weights that each row copies
        if any(weight.dtype != torch.float32 for weight in weights):
            self._copied = [list(group["params"]) for group in groups]
            groups = [group | {"params": [_row(group["params"])]} for group in groups]
        super().__init__(groups, fused=True, **adamw)
        self._max_norm = max_norm
        self.skipped = torch.zeros((), device=weights[0].device)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights."""
        for row, weights in zip(self._rows, self._copied, strict=True):
            row.grad = _row([_gradient(weight) for weight in weights])
        gradients = [[_gradient(weight) for weight in group["params"]] for group in self.param_groups]
        norm = _norm(gradients)
        self.found_inf = (~norm.isfinite()).float()  # AdamW's kernel reads it, and then changes nothing
        self.skipped += self.found_inf
        shrink = 1.0 / ((norm + EPSILON) / self._max_norm).clamp(min=1.0)
        for gradient in (gradient for group in gradients for gradient in group):
            gradient.mul_(shrink)
        super().step()
        for row, weights in zip(self._rows, self._copied, strict=True):
            row.grad = None
            torch._foreach_copy_(weights, _parts(row, weights))

    def state_dict(self) -> dict[str, Any]:
        """Return AdamW's state, the copies, and the number of steps that were left out."""
        return super().state_dict() | {"copies": self._rows, "skipped": self.skipped}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state that `state_dict` has returned."""
        super().load_state_dict(state_dict)
        for row, saved in zip(self._rows, state_dict["copies"], strict=True):
            row.copy_(saved)
        self.skipped.copy_(state_dict["skipped"])

    @property
    def _rows(self) -> list[Tensor]:
        return [group["params"][0] for group in self.param_groups] if self._copied else []


def master_weights(args: Any) -> tuple[type[MasterWeights], dict[str, Any]]:
    """Return the optimiser and its arguments, as transformers' Trainer takes them (`TrainingArguments`)."""
    adamw = {"lr": args.learning_rate, "betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}
    return MasterWeights, adamw | {"max_norm": args.max_grad_norm}


def _gradient(weight: Tensor) -> Tensor:
    """Return a weight's gradient: zero if the loss does not depend on it, as for an expert without tokens."""
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def _row(tensors: Sequence[Tensor]) -> Tensor:
    """Return numbers of tensors in float32, one after another."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).float()


def _parts(row: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Cut a row into tensors of the shapes of others."""
    parts = torch.split(row, [tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]


def _norm(groups: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return the norm of all gradients, rounded where DeepSpeed rounds it."""
    norms = [
        torch.stack([torch.linalg.vector_norm(gradient, dtype=torch.float64) for gradient in group])
        for group in groups
    ]
    of_all: Tensor = torch.linalg.vector_norm(
        torch.stack([of_group.square().sum().float().sqrt() for of_group in norms])
    )
    return of_all
