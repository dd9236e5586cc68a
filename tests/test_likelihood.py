"""Scores of answers against the WPO paper's equations, computed independently from raw logits."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from training import likelihood
from training.layout import Layout
from training.likelihood import Answers, Batch, answer_logps, answer_values, score_answers
from training.model import ModelFiles, load_model


@pytest.fixture(scope="module")
def model(tiny_folder):
    return load_model(ModelFiles(str(tiny_folder)), "float32")


@pytest.fixture(scope="module")
def sequences():
    """Pairs (ids, start of the answer), long and short; some answers and some prompts have one token."""
    rng = np.random.default_rng(3)
    shapes = [(5, 9), (12, 1), (1, 1), (3, 30), (20, 2), (1, 17), (7, 7)]
    return [(rng.integers(5, 250, prompt + answer).tolist(), prompt) for prompt, answer in shapes]


def paper(model, ids, start):
    """Return logp and the sampled and greedy log-weights (Zhou et al. 2024, section 3) of one sequence."""
    with torch.no_grad():
        log_pi = model(input_ids=torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)[start - 1 :]
    answer = torch.tensor(ids[start:])
    logp = log_pi[torch.arange(len(answer)), answer]
    sampled = (logp - log_pi.exp().square().sum(-1).log()).mean()
    greedy = (logp - log_pi.amax(-1)).mean()
    return [logp.sum().item(), sampled.item(), greedy.item()]


def test_scores_are_the_papers(model, sequences):
    limits = np.array([4, 1, 1, 40, 1, 9, 0])
    scores = score_answers(model, Layout.PACKED, Answers(*zip(*sequences, strict=True)), limits)
    expected = np.array([paper(model, *sequence) for sequence in sequences]).T
    cut = [(ids[: start + limit], start) for (ids, start), limit in zip(sequences, limits, strict=True)]
    np.testing.assert_allclose(
        scores.logp_shared[:-1], [paper(model, *part)[0] for part in cut[:-1]], rtol=1e-5
    )
    assert scores.logp_shared[-1] == 0
    got = [scores.logp, scores.log_weight_sampled, scores.log_weight_greedy]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert (scores.log_weight_greedy <= 0).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(model, sequences, side):
    def pad(rows):
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_side=side)

    ids = pad([ids for ids, _ in sequences])
    attention = pad([[1] * len(ids) for ids, _ in sequences])
    answer = pad([[0] * start + [1] * (len(ids) - start) for ids, start in sequences])
    expected = np.array([paper(model, *sequence) for sequence in sequences]).T
    batch = Batch(ids, attention, answer)
    logp, squares, best = answer_values(model, Layout.PACKED, likelihood.statistics, batch).sum(2)
    n = answer.sum(1)
    got = [logp, (logp - squares) / n, (logp - best) / n]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_batches_and_chunks_change_nothing(model, sequences, monkeypatch):
    answers = Answers(*zip(*sequences, strict=True))
    whole = score_answers(model, Layout.PACKED, answers, answers.lengths).logp
    np.testing.assert_allclose(answer_logps(model, Layout.PADDED, answers), whole, rtol=1e-6)
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", {"cpu": 1})
    monkeypatch.setattr(likelihood, "CHUNK_LOGITS", {"cpu": 3 * model.config.vocab_size})
    again = score_answers(model, Layout.PACKED, answers, answers.lengths)
    np.testing.assert_allclose(again.logp, whole, rtol=1e-5)
    assert (again.logp_shared == again.logp).all()


@pytest.mark.parametrize("layout", Layout)
def test_an_answer_in_several_pairs_is_computed_once(model, sequences, layout, monkeypatch):
    """As after a ranking of four: the best answer stands in three pairs, with shorter and longer ones."""
    (ids, start), *others = sequences
    rejected = [(ids[:start] + [7 + k] * tokens, start) for k, tokens in enumerate((2, 4, 30))]
    ranking = [(ids, start)] * 3 + rejected + others
    limits = np.array([2, 4, 9, 2, 4, 9, *[1] * len(others)])
    answers = Answers(*zip(*ranking, strict=True))
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", {"cpu": 1})  # one sequence per batch
    batches = []
    scores = score_answers(model, layout, answers, limits, lambda _, total: batches.append(total))
    heldout = answer_logps(model, layout, answers, lambda _, total: batches.append(total))
    assert batches == [len(ranking) - 2] * 2 * (len(ranking) - 2)
    expected = np.array([paper(model, *sequence) for sequence in ranking]).T
    got = [scores.logp, scores.log_weight_sampled, scores.log_weight_greedy]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(heldout, expected[0], rtol=1e-5)
    cut = [(ids[: start + limit], start) for (ids, start), limit in zip(ranking, limits, strict=True)]
    np.testing.assert_allclose(scores.logp_shared, [paper(model, *part)[0] for part in cut], rtol=1e-5)


def test_batches_cover_every_row_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    batches = likelihood.length_batches(lengths, 128)
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert all(len(rows) * lengths[rows].max() <= 128 for rows in batches)


def test_batches_keep_answers_of_a_prompt_together_within_the_budget():
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 250, length).tolist() for length in (3, 3, 9)]
    starts = [len(prompts[k % 3]) for k in range(60)]
    answers = Answers([prompts[k % 3] + rng.integers(5, 250, 1 + k % 7).tolist() for k in range(60)], starts)
    batches = likelihood.prompt_batches(answers, 64)
    assert sorted(np.concatenate(batches)) == list(range(60))
    assert all(sum(len(answers.ids[row]) for row in rows) <= 64 for rows in batches)
    prompt_of = [row % 3 for rows in batches for row in rows]
    assert sum(one != other for one, other in itertools.pairwise(prompt_of)) == 2
    assert max(map(len, likelihood.prompt_batches(answers, 1))) == 1
