"""A member of a bundle, and its access to the model that it shares with the others (`training/bundle.py`).

Shape suffix: M answer tokens of the arm's row.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from training.model import ModelFiles
from training.own_globals import OwnGlobals
from training.packed_row import PackedRow
from training.shared_model import ArmAdapters, sharing_copy
from training.turns import Ask, Turns

T = TypeVar("T")


@dataclass(frozen=True)
class Values:
    """The question for what `training.packed.fused_row` computes for a row: values [M] by name."""

    row: PackedRow
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Gradients:
    """The question for the gradients of the adapters, given those of the log-probabilities of answers [M]."""

    of_log_probs: Tensor


@dataclass(frozen=True)
class End:
    """The wait for the end of other members."""

    of: Sequence["Member[Any]"]


class Host(Protocol):
    """What a member needs of its bundle."""

    @property
    def base(self) -> PreTrainedModel:
        """The base model."""

    def add(
        self, function: Callable[["SharedModel"], T], around: Callable[[], AbstractContextManager[Any]]
    ) -> "Member[T]":
        """Add a member."""


class Member(Generic[T]):
    """A member of a bundle, which runs in turns and has its own share of what libraries keep in globals.

    Args:
        bundle: The bundle.
        function: Trains arms with the access that it is given, one after another.
        around: The block in which each of its turns is.

    Attributes:
        turns: The turns of the function.
        arm: The adapters of the arm that it trains now.
    """

    arm: ArmAdapters

    def __init__(
        self,
        bundle: Host,
        function: Callable[["SharedModel"], T],
        around: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.globals, self.around = OwnGlobals(), around
        card = torch.cuda.current_device() if torch.cuda.is_available() else None

        def run(ask: Ask) -> T:
            if card is not None:  # each thread has a current card of its own
                torch.cuda.set_device(card)
            return function(SharedModel(bundle, self, ask))

        self.turns = Turns(run)

    @property
    def outcome(self) -> T | BaseException:
        """What the function, which has ended, returned or raised."""
        return self.turns.error or self.turns.result  # type: ignore[return-value]

    def go_on(self, answer: Any = None) -> None:
        """Let the member run until it asks for something or ends."""
        with self.around(), self.globals.in_use():
            self.turns.go_on(answer)


class SharedModel:
    """A member's access to the model (`training.model_access.ModelAccess`)."""

    def __init__(self, bundle: Host, member: Member[Any], ask: Ask) -> None:
        self._bundle, self._member, self._ask = bundle, member, ask
        self._inner: PreTrainedModel | None = None
        self._log_probs: Tensor | None = None

    @contextmanager
    def opened(self, files: ModelFiles, dtype: str, deepspeed: bool) -> Iterator[PreTrainedModel]:
        """Yield a model with the base model's weights; the bundle is in a training process already."""
        yield sharing_copy(self._bundle.base)

    def train_together(self, functions: Sequence[Callable[["SharedModel"], T]]) -> list[T | BaseException]:
        """Let functions train as further members; return what each returned or raised once all have ended."""
        members = [self._bundle.add(function, self._member.around) for function in functions]
        self._ask(End(members))
        return [member.outcome for member in members]

    def forward(self, model: nn.Module, inner: PreTrainedModel, row: PackedRow, **rest: Any) -> Any:
        """Ask the bundle for the values of the row's answers."""
        if self._inner is not inner:
            self._inner = inner
            self._member.arm = ArmAdapters.of(inner, self._member.globals.randomness)
        values: dict[str, Tensor] = self._ask(Values(row, rest))
        self._log_probs = values["log_probs"].requires_grad_()
        return FusedCausalLMOutput(**{name: row.padded(value) for name, value in values.items()})

    def loss(self, model: nn.Module, loss: Tensor) -> Tensor:
        """Return the loss as the output of the model, with the gradients that the bundle has computed.

        DeepSpeed's engine prepares itself for a backward pass in its forward pass, so this is one.
        """
        assert self._log_probs is not None
        (of_log_probs,) = torch.autograd.grad(loss, self._log_probs)
        gradients: Sequence[Tensor | None] = self._ask(Gradients(of_log_probs))
        weights = self._member.arm.weights
        with _computing(model, lambda: _differentiated(loss.detach(), gradients, weights)):
            output: Tensor = model()
        return output


@contextmanager
def _computing(model: nn.Module, function: Callable[[], Tensor]) -> Iterator[None]:
    """Let a model, or the one that DeepSpeed's engine wraps, compute `function` within the block."""
    module = getattr(model, "module", model)
    module.forward = function
    try:
        yield
    finally:
        del module.forward


def _differentiated(loss: Tensor, gradients: Sequence[Tensor | None], weights: list[nn.Parameter]) -> Tensor:
    """Return a loss whose gradients of the weights are known."""
    output: Tensor = _Differentiated.apply(loss, gradients, *weights)  # type: ignore[no-untyped-call]
    return output


class _Differentiated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: Sequence[Tensor | None], *_weights: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        scaled = [None if gradient is None else gradient * of_loss for gradient in ctx.gradients]
        return None, None, *scaled
