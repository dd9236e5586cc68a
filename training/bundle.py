"""Train several arms with adapters side by side in one process: one forward pass serves all of them.

Each arm is the arm that it would be alone: `train_arm` with its own trainer, optimiser, schedule, random
numbers and checkpoints. Only what an arm asks of its model is computed for all arms at once, on one row that
holds the tokens of all (`training/shared_model.py`). So an arm can be cut, and go on alone or in another
bundle; an arm can end, and another one start, while others go on. Launches and loads of the base model are
shared (mLoRA, Ye et al. 2023, arXiv 2312.02515). Arms whose batches are padded ask for nothing, and so are
trained one after another.

Members run in turns. A micro-batch takes an arm two of them: it asks for the values of its answers, computes
its loss from them, and asks for the gradients of its adapters, which its own backward pass then hands to its
optimiser.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from training.bundle_access import End, Gradients, Member, SharedModel, Values
from training.checkpointing import checkpoint_activations
from training.layout_check import check_in_this_process
from training.model import ModelFiles, load_model
from training.model_access import training_process
from training.packed import fused_row, values_of_answers
from training.packed_row import PackedRow
from training.shared_model import ArmAdapters, joint_model

T = TypeVar("T")
HEAD_OUTPUTS = ("log_probs", "entropy", "mean_logits", "is_top1", "log_sum_sq_probs")  # all that TRL may read


@dataclass(frozen=True)
class BundleModel:
    """What the arms of a bundle have in common.

    files: The base model's files.
    dtype: Precision of its weights.
    deepspeed: Whether the arms train under DeepSpeed.
    activation_checkpointing: Whether layers are computed again in the backward pass.
    """

    files: ModelFiles
    dtype: str
    deepspeed: bool
    activation_checkpointing: bool = False


def train_together(
    functions: Sequence[Callable[[SharedModel], T]], model: BundleModel
) -> list[T | BaseException]:
    """Call functions that train arms, each with an access to the one model that they share.

    Args:
        functions: Each trains one arm after another with `train_arm(..., access=access)`. All arms have
            adapters in the same layers, and the same settings of DeepSpeed. WPO with greedy alignment,
            float16, and adapters' dropout with activation checkpointing are not possible here.
        model: The base model.

    Returns:
        What each function returned, or raised: an arm that fails takes no other with it.
    """
    with opened_bundle(model) as bundle:
        members = [bundle.add(function) for function in functions]
        while bundle.serve():
            pass
    return [member.outcome for member in members]


@contextmanager
def opened_bundle(model: BundleModel) -> Iterator["Bundle"]:
    """Yield a bundle without members. Those that have not ended with the block are made to."""
    with training_process(model.deepspeed):
        bundle = Bundle(model)
        try:
            yield bundle
        finally:
            bundle.end()


class Bundle:
    """A base model, and the members that train on it side by side. They come and go.

    Attributes:
        members: Those that have not ended.
    """

    def __init__(self, model: BundleModel) -> None:
        self.members: list[Member[Any]] = []
        self._model = model
        self._row_of: list[ArmAdapters] = []  # the arms in the order of the joint row
        self._joint: PreTrainedModel | None = None
        self._log_probs: Tensor | None = None  # [1, M], of the answers of all arms
        self._counts: list[int] = []  # the answer tokens of each arm

    @cached_property
    def base(self) -> PreTrainedModel:
        """The base model. The first arm that needs it loads it, and raises what is wrong with it."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        base = load_model(self._model.files, self._model.dtype)
        check_in_this_process(base, self._model.files, device)  # once for all arms
        return base.requires_grad_(False).to(device).train()

    def add(
        self,
        function: Callable[[SharedModel], T],
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> Member[T]:
        """Add a member, which gets its first turn when the bundle serves next.

        Args:
            function: Trains arms with the access that it is given, one after another or, as further members,
                side by side.
            around: The block in which its turns are, and those of its further members.
        """
        member = Member(self, function, around)
        self.members.append(member)
        return member

    def serve(self) -> bool:
        """Give each member what it asked for last; return whether any has not ended."""
        for member in list(self.members):
            if member.turns.question is None:
                member.go_on()
        self._answer(Values, self._values)
        self._answer(Gradients, self._gradients)
        for member in self._asking(End):
            if all(other.turns.ended for other in member.turns.question.of):
                member.go_on()
        left = [member for member in self.members if not member.turns.ended]
        if len(left) < len(self.members):
            self.members = left
            gc.collect()  # an arm's trainer refers to itself
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return bool(left)

    def end(self) -> None:
        """Make all members end that have had a turn."""
        for member in [member for member in self.members if member.turns.question is not None]:
            member.go_on(RuntimeError("the bundle has ended"))

    def _asking(self, kind: type) -> list[Member[Any]]:
        """Return the members that ask a kind of question."""
        return [member for member in self.members if isinstance(member.turns.question, kind)]

    def _answer(self, kind: type, compute: Callable[[list[Member[Any]]], list[Any]]) -> None:
        """Let the members go on that ask a kind of question; if it cannot be answered, all of them fail."""
        asking = self._asking(kind)
        if not asking:
            return
        try:
            answers = compute(asking)
        except Exception as error:
            answers = [error] * len(asking)
        for member, answer in zip(asking, answers, strict=True):
            member.go_on(answer)

    def _values(self, members: list[Member[Any]]) -> list[dict[str, Tensor]]:
        """Compute the rows of members as one, and return the values of each: [M] by name."""
        rows = [member.turns.question.row for member in members]
        for member, row in zip(members, rows, strict=True):
            member.arm.tokens = row.input_ids.shape[1]
        self._row_of[:] = [member.arm for member in members]
        if self._joint is None:
            self._joint = joint_model(self.base, members[0].arm, self._row_of)
            add_fused_lm_head(self._joint, outputs=HEAD_OUTPUTS)
            if self._model.activation_checkpointing:
                checkpoint_activations(self._joint)
        row = PackedRow.joined(rows)
        output = fused_row(self._joint, self._joint, row, **members[0].turns.question.arguments)
        self._log_probs = output.log_probs
        self._counts = [len(row.predictors) for row in rows]
        parts = {
            name: torch.split(value_1M[0].detach(), self._counts)
            for name, value_1M in values_of_answers(output, row).items()
        }
        return [{name: part[place] for name, part in parts.items()} for place in range(len(members))]

    def _gradients(self, members: list[Member[Any]]) -> list[list[Tensor | None]]:
        """Compute the gradients of the members' adapters, those of a member in the order of its weights."""
        assert self._log_probs is not None
        of_arm = {id(member.arm): member.turns.question.of_log_probs for member in members}
        # An arm that has ended since its forward pass asks for nothing.
        of_log_probs = [
            of_arm.get(id(arm), part.new_zeros(part.shape))
            for arm, part in zip(self._row_of, torch.split(self._log_probs[0], self._counts), strict=True)
        ]
        weights = [member.arm.weights for member in members]
        log_probs, self._log_probs = self._log_probs, None
        flat = iter(
            torch.autograd.grad(
                log_probs,
                [weight for own in weights for weight in own],
                torch.cat(of_log_probs)[None],
                allow_unused=True,
            )
        )
        return [[next(flat) for _ in own] for own in weights]
