"""Compute log-likelihoods of answers under a model, holding the logits of one chunk at a time.

Shape suffixes: B sequences, R of them, T positions, N answer tokens of a batch, H hidden, V vocabulary,
K values per token.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from training import hardware, packed
from training.arrays import FloatArray, IntArray
from training.layout import Layout
from training.logit_transform import LogitTransform
from training.packed_row import PackedRow
from training.partitioned import gathered

CHUNK_LOGITS = {"cpu": 2**21, "cuda": 2**27}  # logits held at once, as float32: 8 MiB, 512 MiB
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}  # tokens of a forward pass, including padding if there is any


@dataclass(frozen=True)
class Answers:
    """Sequences to score: token ids of prompt and answer, cut to length, and where each answer starts."""

    ids: Sequence[list[int]]
    starts: Sequence[int]

    @property
    def lengths(self) -> IntArray:
        """Tokens of each answer: [B]."""
        return np.array([len(ids) - start for ids, start in zip(self.ids, self.starts, strict=True)])

    def rows(self, numbers: Sequence[int] | IntArray) -> Self:
        """Return the sequences with these row numbers."""
        return type(self)([self.ids[i] for i in numbers], [self.starts[i] for i in numbers])

    def distinct(self) -> tuple[Self, list[list[int]]]:
        """Return each different sequence once, and for each of them the row numbers at which it stands.

        An answer stands in several pairs where people compared more than two.
        """
        places: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for row, (ids, start) in enumerate(zip(self.ids, self.starts, strict=True)):
            places.setdefault((start, tuple(ids)), []).append(row)
        return self.rows([rows[0] for rows in places.values()]), list(places.values())

    @classmethod
    def of_pairs(cls, pairs: Mapping[str, Any], max_length: int) -> Self:
        """Return the sequences of tokenised pairs, cut to `max_length` tokens: all chosen, then all rejected.

        `pairs` holds lists of token ids by column: prompt_ids, chosen_ids, rejected_ids.
        """
        ids = [
            (prompt + answer)[:max_length]
            for side in ("chosen_ids", "rejected_ids")
            for prompt, answer in zip(pairs["prompt_ids"], pairs[side], strict=True)
        ]
        return cls(ids, [len(prompt) for prompt in pairs["prompt_ids"]] * 2)


class Batch(NamedTuple):
    """Sequences as padded tensors of shape [B, T]; the padding may be on either side.

    ids: Token ids. attention: Whether a token is no padding. answers: Whether it is part of an answer.
    """

    ids: Tensor
    attention: Tensor
    answers: Tensor


@dataclass(frozen=True)
class AnswerScores:
    """One value per sequence, over its answer tokens y_1..y_n (arrays of shape [B]).

    `logp`: sum_t log pi(y_t). `logp_shared`: the same sum over the first `limits` tokens of an answer.
    WPO log-weights (Zhou et al. 2024, arXiv 2406.11827):
    `log_weight_sampled`: 1/n sum_t [log pi(y_t) - log sum_v pi(v)^2];
    `log_weight_greedy`: 1/n sum_t [log pi(y_t) - max_v log pi(v)].
    """

    logp: FloatArray
    logp_shared: FloatArray
    log_weight_sampled: FloatArray
    log_weight_greedy: FloatArray


PerToken = Callable[[Tensor, Tensor], Tensor]  # logits [N, V] in float32 and targets [N] to values [K, N]


def logps(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Return log pi(target) at each position: [1, N]."""
    target = logits_NV.gather(-1, targets_N.unsqueeze(-1)).squeeze(-1)
    return (target - logits_NV.logsumexp(-1))[None]


def statistics(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Return log pi(target), log sum_v pi(v)^2 and max_v log pi(v) at each position: [3, N]."""
    log_z = logits_NV.logsumexp(-1)
    target = logits_NV.gather(-1, targets_N.unsqueeze(-1)).squeeze(-1)
    squares = (2 * logits_NV).logsumexp(-1)
    return torch.stack([target - log_z, squares - 2 * log_z, logits_NV.amax(-1) - log_z])


def greedy(logits_NV: Tensor, _targets_N: Tensor) -> Tensor:
    """Return max_v log pi(v) at each position: [1, N]."""
    return (logits_NV.amax(-1) - logits_NV.logsumexp(-1))[None]


def of_tokens(per_token: PerToken, hidden_NH: Tensor, model: PreTrainedModel, targets_N: Tensor) -> Tensor:
    """Return `per_token` of the model's logits, which are computed one chunk at a time: [K, N]."""
    head: nn.Module = model.get_output_embeddings()
    transform = LogitTransform.of(model.config)
    with gathered(head.parameters()):
        weight: Tensor = head.get_parameter("weight")
        chunk = max(1, CHUNK_LOGITS[hardware.kind(weight.device)] // weight.shape[0])
        chunks = zip(torch.split(hidden_NH, chunk), torch.split(targets_N, chunk), strict=True)
        return torch.cat(
            [per_token(transform(head(hidden).float()), targets) for hidden, targets in chunks], dim=1
        )


def token_values(model: PreTrainedModel, layout: Layout, per_token: PerToken, batch: Batch) -> Tensor:
    """Return `per_token` of the answers' tokens, sequence after sequence: [K, N].

    The batch is in the host's memory. Values have gradients where torch records them.
    """
    device = model.device
    if layout is Layout.PACKED:
        return row_values(model, per_token, PackedRow.of(*batch).to(device))
    ids, attention = batch.ids.to(device), batch.attention.long().to(device)
    mask = batch.answers[:, 1:].bool().to(device)  # position t predicts token t + 1
    output = model.base_model(input_ids=ids, attention_mask=attention, use_cache=False)
    return of_tokens(per_token, output.last_hidden_state[:, :-1][mask], model, ids[:, 1:][mask])


def row_values(model: PreTrainedModel, per_token: PerToken, row: PackedRow) -> Tensor:
    """Return `per_token` of a packed row's targets: [K, N]. The row is on the model's device."""
    with packed.packed(model, row) as arguments:
        output = model.base_model(**arguments, use_cache=False)
    hidden_NH = output.last_hidden_state[0].index_select(0, row.predictors)
    return of_tokens(per_token, hidden_NH, model, row.targets)


@torch.no_grad()
def answer_values(model: PreTrainedModel, layout: Layout, per_token: PerToken, batch: Batch) -> Tensor:
    """Return `per_token` of each answer's tokens, and 0 of other positions: [K, B, T - 1].

    The batch is in the host's memory.
    """
    mask = batch.answers[:, 1:].bool().to(model.device)
    values_KN = token_values(model, layout, per_token, batch)
    zeros = torch.zeros(mask.shape, device=mask.device)
    return torch.stack([zeros.masked_scatter(mask, values) for values in values_KN])


OnBatch = Callable[[int, int], None]  # called with the batches that are done, and all of them


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""


def score_answers(
    model: PreTrainedModel,
    layout: Layout,
    answers: Answers,
    limits: IntArray,
    on_batch: OnBatch = _silent,
) -> AnswerScores:
    """Score all sequences, in the order of the input; equal ones are computed once.

    Args:
        model: The model.
        layout: How batches are given to it.
        answers: The sequences.
        limits: Up to which token of an answer `logp_shared` sums: [B].
        on_batch: `on_batch(done, total)` is called after each batch.
    """

    def summed(values_KRT: Tensor, rows: list[int]) -> Tensor:
        logp, squares, best = values_KRT
        position = torch.arange(logp.shape[1], device=logp.device)
        # Position t predicts token t + 1 of the sequence.
        end = torch.tensor(np.array(answers.starts)[rows] + limits[rows] - 1, device=logp.device)
        shared = logp.where(position < end[:, None], 0)
        return torch.stack([part.sum(1) for part in (logp, shared, squares, best)])

    logp, shared, squares, best = _by_batch(model, layout, statistics, summed, answers, on_batch)
    n = answers.lengths
    return AnswerScores(logp, shared, (logp - squares) / n, (logp - best) / n)


def answer_logps(
    model: PreTrainedModel, layout: Layout, answers: Answers, on_batch: OnBatch = _silent
) -> FloatArray:
    """Return only the `logp` of `AnswerScores`, which costs less: [B]. Equal sequences are computed once."""

    def summed(values_KRT: Tensor, _rows: list[int]) -> Tensor:
        return values_KRT.sum(2)

    return _by_batch(model, layout, logps, summed, answers, on_batch)[0]


def padded(answers: Answers) -> Batch:
    """Return sequences as a batch in the host's memory, padded on the right."""
    ids = pad_sequence([torch.tensor(ids) for ids in answers.ids], batch_first=True)
    position = torch.arange(ids.shape[1])
    real = position < torch.tensor([len(sequence) for sequence in answers.ids])[:, None]
    return Batch(ids, real, real & (position >= torch.tensor(answers.starts)[:, None]))


def _by_batch(
    model: PreTrainedModel,
    layout: Layout,
    per_token: PerToken,
    summed: Callable[[Tensor, list[int]], Tensor],
    answers: Answers,
    on_batch: OnBatch,
) -> list[FloatArray]:
    """Return `summed` of all sequences, in the order of the input: arrays of shape [B].

    The model computes equal sequences once. `summed(values, rows)` is given `per_token` of the sequences with
    these R row numbers, [K, R, T - 1], and returns any number of values for each of them: [values, R].
    """
    distinct, places = answers.distinct()
    budget = BATCH_TOKENS[hardware.kind(model.device)]
    if layout is Layout.PACKED:
        batches = prompt_batches(distinct, budget)
    else:
        batches = length_batches(np.array([len(ids) for ids in distinct.ids]), budget)
    sums, order = [], []
    for number, batch in enumerate(batches, start=1):
        values = answer_values(model, layout, per_token, padded(distinct.rows(batch)))
        rows = [row for i in batch for row in places[i]]
        equal_to = np.repeat(np.arange(len(batch)), [len(places[i]) for i in batch])
        sums.append(summed(values[:, equal_to], rows).double().cpu().numpy())
        order += rows
        on_batch(number, len(batches))
    return list(np.concatenate(sums, axis=1)[:, np.argsort(order)])


def prompt_batches(answers: Answers, tokens: int) -> list[IntArray]:
    """Return row numbers, sorted by prompt, in batches of at most `tokens` tokens (or one row)."""
    order = sorted(range(len(answers.ids)), key=lambda i: answers.ids[i][: answers.starts[i]])
    ends = np.cumsum([len(answers.ids[i]) for i in order])
    batches, start = [], 0
    while start < len(order):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + tokens, side="right")))
        batches.append(np.array(order[start:end]))
        start = end
    return batches


def length_batches(lengths: IntArray, tokens: int) -> list[IntArray]:
    """Return row numbers in batches of at most `tokens` padded tokens (or one row), the longest first."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
