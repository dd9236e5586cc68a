"""Log-likelihoods of answers under a model, without ever holding more logits than a chunk.

Shape suffixes: B sequences, T positions, N answer tokens of a batch, H hidden, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from training import packed
from training.errors import StudyError

CHUNK_LOGITS = {"cpu": 2**21, "cuda": 2**27}  # logits held at once, as float32: 8 MiB, 512 MiB
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}  # of a forward pass, padding included where there is any
_LOGIT_SCALES = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Sequences to score: token ids of prompt and answer, cut to length, and where the answers start."""

    ids: Sequence[list[int]]
    starts: Sequence[int]


@dataclass(frozen=True)
class AnswerScores:
    """One value a sequence, over its answer tokens y_1..y_n (arrays of shape [B]).

    `logp`: sum_t log pi(y_t). WPO log-weights (Zhou et al. 2024, arXiv 2406.11827):
    `log_weight_sampled`: 1/n sum_t [log pi(y_t) - log sum_v pi(v)^2];
    `log_weight_greedy`: 1/n sum_t [log pi(y_t) - max_v log pi(v)].
    """

    logp: Floats
    log_weight_sampled: Floats
    log_weight_greedy: Floats


PerToken = Callable[[Tensor, Tensor], Tensor]  # of logits [N, V] in float32 and targets [N], values [K, N]


def logps(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """[1, N]: log pi(target) of each position."""
    target = logits_NV.gather(-1, targets_N.unsqueeze(-1)).squeeze(-1)
    return (target - logits_NV.logsumexp(-1))[None]


def statistics(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """[3, N]: log pi(target), log sum_v pi(v)^2 and max_v log pi(v) of each position."""
    log_z = logits_NV.logsumexp(-1)
    target = logits_NV.gather(-1, targets_N.unsqueeze(-1)).squeeze(-1)
    squares = (2 * logits_NV).logsumexp(-1)
    return torch.stack([target - log_z, squares - 2 * log_z, logits_NV.amax(-1) - log_z])


def greedy(logits_NV: Tensor, _targets_N: Tensor) -> Tensor:
    """[1, N]: max_v log pi(v) of each position."""
    return (logits_NV.amax(-1) - logits_NV.logsumexp(-1))[None]


def of_tokens(per_token: PerToken, hidden_NH: Tensor, head: nn.Module, targets_N: Tensor) -> Tensor:
    """[K, N]: `per_token` of the head's logits, a chunk of them at a time."""
    weight: Tensor = head.get_parameter("weight")
    chunk = max(1, CHUNK_LOGITS[weight.device.type] // weight.shape[0])
    parts = zip(torch.split(hidden_NH, chunk), torch.split(targets_N, chunk), strict=True)
    return torch.cat([per_token(head(hidden).float(), targets) for hidden, targets in parts], dim=1)


@torch.no_grad()
def score_batch(
    model: PreTrainedModel,
    per_token: PerToken,
    input_ids_BT: Tensor,
    attention_mask_BT: Tensor,
    answer_mask_BT: Tensor,
) -> Tensor:
    """[K, B]: sums of `per_token` over each answer's tokens. Padding may be on either side."""
    mask = answer_mask_BT[:, 1:].bool()  # position t predicts token t + 1
    if packed.fits(model):
        row = packed.Row.of(input_ids_BT, attention_mask_BT, answer_mask_BT)
        with packed.packed(model, row) as arguments:
            output = model.base_model(**arguments, use_cache=False)
        hidden_NH = output.last_hidden_state[0, row.predictors]
    else:
        output = model.base_model(input_ids=input_ids_BT, attention_mask=attention_mask_BT, use_cache=False)
        hidden_NH = output.last_hidden_state[:, :-1][mask]
    values_KN = of_tokens(per_token, hidden_NH, model.get_output_embeddings(), input_ids_BT[:, 1:][mask])
    zeros = torch.zeros(mask.shape, device=mask.device)
    return torch.stack([zeros.masked_scatter(mask, values).sum(1) for values in values_KN])


def score_answers(
    model: PreTrainedModel, answers: Answers, on_batch: Callable[[int, int], None] = lambda done, total: None
) -> AnswerScores:
    """Score all sequences; the order of the input is kept. `on_batch(done, total)` is told of each batch."""
    logp, squares, greedy = _sums(model, statistics, answers, on_batch)
    n = np.array([len(ids) for ids in answers.ids]) - np.array(answers.starts)
    return AnswerScores(logp, (logp - squares) / n, (logp - greedy) / n)


def answer_logps(model: PreTrainedModel, answers: Answers) -> Floats:
    """Only the `logp` of `AnswerScores`, which costs less."""
    return _sums(model, logps, answers, lambda done, total: None)[0]


def padded(answers: Answers, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, padded on the right, and where tokens are real, and where answers': each [B, T]."""
    ids = pad_sequence([torch.tensor(ids) for ids in answers.ids], batch_first=True).to(device)
    position = torch.arange(ids.shape[1], device=device)
    real = position < torch.tensor([len(row) for row in answers.ids], device=device)[:, None]
    return ids, real, real & (position >= torch.tensor(answers.starts, device=device)[:, None])


def _sums(
    model: PreTrainedModel, per_token: PerToken, answers: Answers, on_batch: Callable[[int, int], None]
) -> list[Floats]:
    refuse_scaled_logits(model)
    lengths = np.array([len(ids) for ids in answers.ids])
    device = model.device
    tokens = BATCH_TOKENS[device.type]
    batches = prompt_batches(answers, tokens) if packed.fits(model) else length_batches(lengths, tokens)
    sums = []
    for number, rows in enumerate(batches, start=1):
        ids, attention, answer = padded(
            Answers([answers.ids[i] for i in rows], [answers.starts[i] for i in rows]), device
        )
        sums.append(score_batch(model, per_token, ids, attention.long(), answer).double().cpu().numpy())
        on_batch(number, len(batches))
    back = np.argsort(np.concatenate(batches))
    return list(np.concatenate(sums, axis=1)[:, back])


def prompt_batches(answers: Answers, tokens: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers in batches of at most `tokens` tokens (or one row), answers of the same prompt together."""
    order = sorted(range(len(answers.ids)), key=lambda i: answers.ids[i][: answers.starts[i]])
    ends = np.cumsum([len(answers.ids[i]) for i in order])
    batches, start = [], 0
    while start < len(order):
        before = ends[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + tokens, side="right")))
        batches.append(np.array(order[start:end]))
        start = end
    return batches


def length_batches(lengths: npt.NDArray[np.int64], tokens: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers in batches of at most `tokens` padded tokens (or one row), longest first."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def refuse_scaled_logits(model: PreTrainedModel) -> None:
    """Some architectures cap or scale their logits after the head; the arithmetic above does not."""
    config = model.config.get_text_config()
    for name in _LOGIT_SCALES:
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise StudyError(
                f"model {model.name_or_path}: {config.model_type} sets {name}, which is not scored yet"
            )
