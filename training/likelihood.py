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
BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}  # padded tokens of a forward pass
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


def token_statistics(hidden_NH: Tensor, head: nn.Module, targets_N: Tensor) -> Tensor:
    """[3, N] in float32: log pi(target), log sum_v pi(v)^2 and max_v log pi(v) of each position."""
    weight: Tensor = head.get_parameter("weight")
    chunk = max(1, CHUNK_LOGITS[weight.device.type] // weight.shape[0])
    parts = []
    for hidden, targets in zip(torch.split(hidden_NH, chunk), torch.split(targets_N, chunk), strict=True):
        logits_NV = head(hidden).float()
        log_z = logits_NV.logsumexp(-1)
        target = logits_NV.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        squares = (2 * logits_NV).logsumexp(-1)
        parts.append(torch.stack([target - log_z, squares - 2 * log_z, logits_NV.amax(-1) - log_z]))
    return torch.cat(parts, dim=1)


@torch.no_grad()
def score_batch(
    model: PreTrainedModel, input_ids_BT: Tensor, attention_mask_BT: Tensor, answer_mask_BT: Tensor
) -> Tensor:
    """[3, B] in float32: logp, log_weight_sampled, log_weight_greedy. Padding may be on either side."""
    mask = answers = answer_mask_BT[:, 1:].bool()  # position t predicts token t + 1
    if packed.fits(model):
        answers = answer_mask_BT[attention_mask_BT.bool()][None, 1:].bool()
        with packed.without_padding(model, input_ids_BT, attention_mask_BT) as row:
            output = model.base_model(**row, use_cache=False)
    else:
        output = model.base_model(input_ids=input_ids_BT, attention_mask=attention_mask_BT, use_cache=False)
    statistics_3N = token_statistics(
        output.last_hidden_state[:, :-1][answers], model.get_output_embeddings(), input_ids_BT[:, 1:][mask]
    )
    sums = [
        torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, values).sum(1)
        for values in statistics_3N
    ]
    logp, squares, greedy = sums
    n = mask.sum(1)
    return torch.stack([logp, (logp - squares) / n, (logp - greedy) / n])


def score_answers(
    model: PreTrainedModel, answers: Answers, on_batch: Callable[[int, int], None] = lambda done, total: None
) -> AnswerScores:
    """Score all sequences in batches of similar length, longest first; the order of the input is kept.
    `on_batch(done, total)` is told of each batch."""
    refuse_scaled_logits(model)
    lengths = np.array([len(ids) for ids in answers.ids])
    out = np.full((3, len(lengths)), np.nan)
    device = model.device
    batches = length_batches(lengths, BATCH_TOKENS[device.type])
    for number, rows in enumerate(batches, start=1):
        ids = [torch.tensor(answers.ids[i]) for i in rows]
        padded = pad_sequence(ids, batch_first=True).to(device)
        position = torch.arange(padded.shape[1], device=device)
        attention = position < torch.tensor(lengths[rows], device=device)[:, None]
        answer = attention & (
            position >= torch.tensor([answers.starts[i] for i in rows], device=device)[:, None]
        )
        out[:, rows] = score_batch(model, padded, attention.long(), answer).cpu().numpy()
        on_batch(number, len(batches))
    return AnswerScores(*out)


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
