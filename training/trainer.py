"""Train with TRL's `DPOTrainer` on scored pairs, without a reference model, and record each step.

The loss is TRL's own. What is added surrounds its one forward pass: the WPO variants that TRL lacks, and
weights of pairs, rewrite an output before TRL reads it; SimPO and target margins shift the reference
(`training/reference_shift.py`); the recorder keeps values that the loss has computed anyway.

Shape suffixes: B sequences of a batch (first the chosen ones, then the rejected), T positions, M answer
tokens, H hidden.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import send_to_device
from torch import Tensor
from transformers import TrainerCallback
from trl import DPOTrainer

from training.checkpoints import Checkpoints
from training.collator import KeepsColumns
from training.errors import StudyError
from training.layout import Layout
from training.likelihood import greedy, of_tokens
from training.lora import causal_lm
from training.master_weights import master_weights
from training.model_access import OWN_MODEL, ModelAccess
from training.objectives import scales_per_token
from training.packed_row import PackedRow
from training.recorder import CurveRecorder
from training.reference_shift import SHARED, reference_logps
from training.score_gaps import GAP_COLUMNS, WEIGHT
from training.spec import MethodSpec
from training.unlogged import Unread, unlogged

_READ_BY_TRL = ("input_ids", "attention_mask", "completion_mask")


class PairTrainer(DPOTrainer):  # type: ignore[misc]
    """A `DPOTrainer` for rows of a scored table (`training/scoring.py`), which are tokenised already.

    Args:
        method: The objective; `args` must hold the same one (`training.objectives.trl_arguments`).
        name: The trial and arm, for the message of a loss that is not finite (StudyError, at the next point
            of the curve).
        batch_size: Pairs per step over all workers; each recorded step must have seen this many.
        layout: How batches are given to the model (`training/layout_check.py`). A model whose loss has TRL's
            auxiliary term is padded in any case: the term counts the experts of every token of the batch.
        checkpoints: Where each checkpoint goes.
        access: How the model is computed.
        trl: The arguments of `DPOTrainer`.

    Attributes:
        recorder: The curve of the run.
        packs: Whether batches are packed.
        notes: One line for each checkpoint that could not be kept.
    """

    data_collator: Any

    def __init__(
        self,
        method: MethodSpec,
        name: str,
        batch_size: int,
        layout: Layout,
        checkpoints: Checkpoints | None = None,
        access: ModelAccess = OWN_MODEL,
        **trl: Any,
    ) -> None:
        self.method = method
        self.access = access
        self.notes: list[str] = []
        super().__init__(**trl)
        further = (*GAP_COLUMNS, *(SHARED if method.ld_alpha is not None else ()))
        self.data_collator: Any = KeepsColumns(self.data_collator, further)
        if not self.is_deepspeed_enabled:
            self.optimizer_cls_and_kwargs = master_weights(self.args)
        self.recorder = CurveRecorder(
            beta=method.beta,
            every=self.args.logging_steps,
            capped=method.wpo_clamp == "authors",
            batch_size=batch_size,
            gather=self.accelerator.gather,
            name=name,
        )
        self.add_callback(self.recorder)
        self.add_callback(_CheckpointKeeper(self.recorder, checkpoints, self.notes, name))
        self.packs = layout is Layout.PACKED and not self.aux_loss_enabled
        if self.packs:
            self.data_collator = _Packing(self.data_collator)
        if self.aux_loss_enabled:
            self._try_expert_loss()
        if method.use_weighting and method.wpo_alignment == "greedy":
            causal_lm(self.model).base_model.register_forward_hook(self._keep_hidden)

    def fill_rows(self, lengths: Sequence[int]) -> None:
        """Fill the packed rows of batches from now on to a few lengths (`training/row_lengths.py`)."""
        self.data_collator = replace(self.data_collator, lengths=lengths)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset  # tokenised by training/tokenise.py

    def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
        return dataset  # ref_chosen_logps and ref_rejected_logps are columns already

    def _prepare_input(self, data: Any) -> Any:
        """Move a batch to the device as it is.

        Under DeepSpeed, the Trainer would round floats to the model's dtype. In bfloat16, a reference
        log-probability of -300 nats would be up to 1 nat off.
        """
        return send_to_device(data, self.args.device)

    def _keep_hidden(self, _module: Any, _inputs: Any, output: Any) -> None:
        self._hidden = output.last_hidden_state.detach()  # [B, T, H]; packed: [1, M, H] of answer tokens

    @torch.no_grad()
    def _try_expert_loss(self) -> None:
        """Raise StudyError if TRL cannot compute the load-balancing loss that it would add."""
        tokens = torch.zeros((1, 2), dtype=torch.int64, device=self.model.device)
        try:
            self.model(input_ids=tokens, labels=tokens, fused_lm_head=True, output_router_logits=True)
        except (AttributeError, TypeError, LookupError) as error:
            raise StudyError(
                f"model {self.model.name_or_path}: TRL cannot compute the load-balancing loss of "
                f"{self.model.config.model_type} ({type(error).__name__}: {error}); set "
                "router_aux_loss_coef: 0 in the method"
            ) from error

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return TRL's loss; give the recorder what TRL computes for it."""
        observed: dict[str, Tensor] = {}
        if self.packs:
            self._row: PackedRow = inputs["row"]

        def observing(**kwargs: Any) -> Any:
            output = self._forward(model, **kwargs)
            if self.method.use_weighting:
                observed["log_weights"] = self._weight(output, inputs)
            if self.method.weights_from:
                self._weight_by_gap(output, inputs)
            log_probs = output.log_probs.detach()
            observed["margins"] = observed["scaled"] = margins(log_probs, inputs)
            if scales_per_token(self.method):
                observed["scaled"] = margins(log_probs, inputs, per_token=True)
            output.mean_logits = Unread()
            return output

        read_by_trl = {name: inputs[name] for name in _READ_BY_TRL} | reference_logps(self.method, inputs)
        with unlogged(self):
            result = super().compute_loss(observing, read_by_trl, return_outputs, num_items_in_batch)
        if not self.model.training:
            return result
        loss, *outputs = result if return_outputs else [result]
        self.recorder.observe(loss.detach(), **observed)
        if self.packs:
            loss = self.access.loss(model, loss)
        return (loss, *outputs) if return_outputs else loss

    def _clip_grad_norm(self, model: Any) -> None:
        """Do nothing: DeepSpeed or `MasterWeights` clips gradients."""

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> None:
        """Return nothing: the norm would only be logged."""

    def _forward(self, model: Any, **batch: Any) -> Any:
        if not self.packs:
            return model(**batch)
        for replaced in ("input_ids", "attention_mask", "labels"):
            del batch[replaced]
        return self.access.forward(model, causal_lm(self.model), self._row, **batch)

    @torch.no_grad()
    def _weight(self, output: Any, inputs: dict[str, Tensor]) -> Tensor:
        """Make TRL compute the method's weights from `output`, instead of its own.

        Returns log(w_chosen * w_rejected) before the cap: [pairs].
        """
        mask = inputs["completion_mask"][:, 1:].bool()
        if self.method.wpo_alignment == "greedy":
            unwrapped = causal_lm(self.accelerator.unwrap_model(self.model))
            hidden, targets = (
                (self._hidden[0], self._row.targets)
                if self.packs
                else (self._hidden[:, :-1][mask], inputs["input_ids"][:, 1:][mask])
            )
            best = of_tokens(greedy, hidden, unwrapped, targets)
            output.log_sum_sq_probs = torch.zeros_like(output.log_probs).masked_scatter(mask, best)
        aligned = (output.log_probs - output.log_sum_sq_probs) * mask
        chosen, rejected = (aligned.sum(1) / mask.sum(1).clamp_min(1)).chunk(2)
        log_weights: Tensor = chosen + rejected
        if self.method.wpo_clamp == "authors":
            # min(w_c * w_r, 1): the part of the product above 1 is taken from each token of the chosen answer
            excess = torch.cat([F.relu(log_weights), torch.zeros_like(log_weights)])
            output.log_sum_sq_probs = output.log_sum_sq_probs + excess.unsqueeze(1)
        return log_weights

    @torch.no_grad()
    def _weight_by_gap(self, output: Any, inputs: dict[str, Tensor]) -> None:
        """Multiply each pair's loss by its weight, through the product of weights that TRL computes.

        TRL weights a pair by exp of the mean of log_probs - log_sum_sq_probs over each answer's tokens.
        Without WPO these means are made 0; then the log of the pair's weight is added to that of the
        chosen answer.
        """
        if not self.method.use_weighting:
            output.log_sum_sq_probs = output.log_probs.detach()
        log_weights = inputs[WEIGHT].log()
        both = torch.cat([log_weights, torch.zeros_like(log_weights)])
        output.log_sum_sq_probs = output.log_sum_sq_probs - both.unsqueeze(1)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights, unless DeepSpeed is on: its own states hold them already."""
        if not self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the weights in the dtype that they have; peft would turn adapters into float32."""
        dtypes = [weight.dtype for weight in self.model.parameters()]
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for weight, dtype in zip(self.model.parameters(), dtypes, strict=True):
            weight.data = weight.data.to(dtype)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write no model card; TRL would write one with every checkpoint."""


@dataclass(frozen=True)
class _Packing:
    """TRL's collator, which also packs the batch (`row`) while it is in the host's memory.

    lengths: To which rows are filled, ascending; none leaves them as they are.
    """

    collate: Callable[[list[dict[str, Any]]], dict[str, Any]]
    lengths: Sequence[int] = ()

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.collate(examples)
        row = PackedRow.of(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
        return {**batch, "row": row.filled(self.lengths)}


@dataclass
class _CheckpointKeeper(TrainerCallback):  # type: ignore[misc]
    """Puts what the Trainer has saved into `checkpoints`.

    The last step is not saved, since a finished arm is kept as its outcomes. The callback holds no reference
    to the trainer: a cycle would keep the trainer in memory after the end of the arm.
    """

    recorder: CurveRecorder
    checkpoints: Checkpoints | None
    notes: list[str]
    name: str

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the Trainer from saving the last step."""
        if state.global_step == state.max_steps:
            control.should_save = False

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Add the curve to what the Trainer has saved, and put both into the store."""
        assert self.checkpoints is not None
        self.recorder.check_losses()
        step = state.global_step
        folder = Path(args.output_dir) / f"checkpoint-{step}"
        self.recorder.save(folder, args.process_index)
        try:
            self.checkpoints.save(folder, step)
        except OSError as error:  # a full disk must not end the arm; a retry would only repeat more steps
            self.notes.append(f"kept no checkpoint at step {step}: {error}")
            print(f"{self.name}: {self.notes[-1]}", flush=True)


def margins(log_probs_BT: Tensor, inputs: dict[str, Tensor], per_token: bool = False) -> Tensor:
    """Return the implicit reward margins in nats, without beta, of answers or per token of each: [pairs]."""
    rewards = log_probs_BT.sum(1) - torch.cat([inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]])
    if per_token:
        rewards = rewards / inputs["completion_mask"].sum(1)
    chosen, rejected = rewards.chunk(2)
    return chosen - rejected
