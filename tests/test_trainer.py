"""Loss and gradients against TRL's with a live reference model, and against the WPO paper's equation."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from conftest import MAX_LENGTH
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from training.layout import Layout
from training.model import ModelFiles, load_model, load_tokenizer
from training.objectives import trl_arguments
from training.packed_row import PackedRow
from training.reference_shift import reference_logps
from training.score_gaps import gap_columns
from training.spec import MethodSpec
from training.trainer import PairTrainer

BATCH_PAIRS = 12


@pytest.fixture(scope="module")
def policy(tiny_folder):
    """The reference model, perturbed: unperturbed, every pair would have the same loss."""
    model = load_model(ModelFiles(str(tiny_folder)), "float32")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture
def trainer(policy, scored, tiny_folder, tmp_path):
    """Makes our trainer on the scored table for a method; each has a policy of its own."""

    def make(method):
        return PairTrainer(
            method,
            "test",
            BATCH_PAIRS,
            Layout.PACKED,
            model=copy.deepcopy(policy),
            args=trl_config(method, tmp_path, precompute_ref_log_probs=True),
            train_dataset=scored,
            processing_class=load_tokenizer(ModelFiles(str(tiny_folder))),
        )

    return make


def trl_config(method, folder, **more):
    return DPOConfig(
        **trl_arguments(method),
        output_dir=folder,
        max_length=MAX_LENGTH,
        use_cpu=True,
        bf16=False,
        report_to="none",
        activation_checkpointing=False,
        **more,
    )


def make_batch(trainer, rows=None, side="right"):
    batch = trainer.data_collator(rows or trainer.train_dataset.select(range(BATCH_PAIRS)).to_list())
    if side == "left":
        attention = batch["attention_mask"].bool()
        padding = {
            "input_ids": trainer.processing_class.pad_token_id,
            "attention_mask": 0,
            "completion_mask": 0,
        }
        batch |= {key: pad_left(batch[key], attention, value) for key, value in padding.items()}
        batch["row"] = PackedRow.of(batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
    return batch


def pad_left(rows, attention, padding):
    kept = [row[mask] for row, mask in zip(rows, attention, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(kept, batch_first=True, padding_value=padding, padding_side="left")


def loss_and_gradients(trainer, batch):
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), {
        name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None
    }


def assert_same(got, expected):
    assert got[0] == pytest.approx(expected[0], rel=1e-5)
    scale = max(gradient.abs().max() for gradient in expected[1].values())
    for name, gradient in expected[1].items():
        torch.testing.assert_close(got[1][name], gradient, rtol=1e-5, atol=1e-5 * float(scale), msg=name)


@pytest.mark.parametrize(
    "method",
    [
        MethodSpec(),
        MethodSpec(use_weighting=True, wpo_clamp="trl"),
        MethodSpec(loss_type=["sigmoid", "ipo"], loss_weights=[0.7, 0.3]),
        MethodSpec(loss_type="apo_zero"),
        MethodSpec(ld_alpha=0.3),
        MethodSpec(ld_alpha=0.0, loss_type="sigmoid_norm", use_weighting=True, wpo_clamp="trl"),
    ],
    ids=["dpo", "wpo", "mixture", "apo_zero", "ld_dpo", "ld_wpo_norm"],
)
def test_trl_with_a_live_reference_agrees(method, trainer, policy, pairs, tiny_folder, tmp_path):
    files = ModelFiles(str(tiny_folder))
    chats = [
        {
            "prompt": row.prompt,
            "chosen": [{"role": "assistant", "content": row.chosen}],
            "rejected": [{"role": "assistant", "content": row.rejected}],
        }
        for row in pairs.itertuples()
    ]
    stock = DPOTrainer(
        model=copy.deepcopy(policy),
        ref_model=load_model(files, "float32"),
        args=trl_config(method, tmp_path),
        train_dataset=Dataset.from_list(chats),
        processing_class=load_tokenizer(files),
    )
    ours = trainer(method)
    assert_same(loss_and_gradients(ours, make_batch(ours)), loss_and_gradients(stock, make_batch(stock)))


def paper_wpo(model, rows, method):
    """Return min(w_c w_l, 1) * -log sigmoid(beta * margin) and the weight of each pair: [pairs] each.

    Computed from the logits of one answer at a time.
    """
    losses, weights = [], []
    for row in rows:
        logps, log_ws = [], []
        for side in ("chosen_ids", "rejected_ids"):
            ids = torch.tensor((row["prompt_ids"] + row[side])[:MAX_LENGTH])
            log_pi = model(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)[len(row["prompt_ids"]) - 1 :]
            logp = log_pi.gather(-1, ids[len(row["prompt_ids"]) :, None])[:, 0]
            sampled = (log_pi.exp() ** 2).sum(-1).log()
            log_ws.append((logp - (sampled if method.wpo_alignment == "sampled" else log_pi.amax(-1))).mean())
            logps.append(logp.sum())
        weight = torch.exp(log_ws[0] + log_ws[1]).detach()
        weights.append(weight.clamp(max=1) if method.wpo_clamp == "authors" else weight)
        margin = (logps[0] - row["ref_chosen_logps"]) - (logps[1] - row["ref_rejected_logps"])
        losses.append(-weights[-1] * F.logsigmoid(method.beta * margin))
    return torch.stack(losses), torch.stack(weights)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("clamp", ["authors", "trl"])
@pytest.mark.parametrize("alignment", ["sampled", "greedy"])
def test_wpo_is_the_papers(alignment, clamp, side, trainer, policy, scored):
    method = MethodSpec(use_weighting=True, wpo_alignment=alignment, wpo_clamp=clamp, beta=0.3)
    rows = scored.select(range(24)).to_list()
    rows[3]["chosen_ids"], rows[5]["rejected_ids"] = rows[3]["chosen_ids"][:1], rows[5]["rejected_ids"][:1]
    assert any(row["chosen_truncated"] for row in rows)
    ours = trainer(method)
    got = loss_and_gradients(ours, make_batch(ours, rows, side))
    model = copy.deepcopy(policy)
    losses, weights = paper_wpo(model, rows, method)
    loss = losses.mean()
    loss.backward()
    assert_same(got, (loss.item(), {name: p.grad for name, p in model.named_parameters()}))
    if alignment == "sampled" and clamp == "authors":
        assert 0.05 < (weights == 1).float().mean() < 0.95  # some pairs are clamped, not all


def test_the_first_loss_is_log_two(scored, tiny_folder, tmp_path):
    files = ModelFiles(str(tiny_folder))
    method = MethodSpec(beta=5.0)
    ours = PairTrainer(
        method,
        "test",
        BATCH_PAIRS,
        Layout.PACKED,
        model=load_model(files, "float32"),
        args=trl_config(method, tmp_path, precompute_ref_log_probs=True),
        train_dataset=scored,
        processing_class=load_tokenizer(files),
    )
    assert loss_and_gradients(ours, make_batch(ours))[0] == pytest.approx(math.log(2), rel=1e-4)


def answer_logps(model, rows, side):
    """Return log pi of each answer, [pairs] with gradients, and its tokens, from plain logits."""
    sums, tokens = [], []
    for row in rows:
        ids = torch.tensor([row["prompt_ids"] + row[f"{side}_ids"]])
        start = len(row["prompt_ids"])
        log_pi = model(input_ids=ids).logits[0, start - 1 : -1].log_softmax(-1)
        sums.append(log_pi.gather(1, ids[0, start:, None]).sum())
        tokens.append(ids.shape[1] - start)
    return torch.stack(sums), torch.tensor(tokens)


def margins_of(model, rows):
    chosen, rejected = (answer_logps(model, rows, side)[0] for side in ("chosen", "rejected"))
    reference = torch.tensor([row["ref_chosen_logps"] - row["ref_rejected_logps"] for row in rows])
    return chosen - rejected - reference


def simpo(model, rows, gaps):
    """Meng et al. 2024, equation 6."""
    (chosen, n_chosen), (rejected, n_rejected) = (
        answer_logps(model, rows, side) for side in ("chosen", "rejected")
    )
    return -F.logsigmoid(2.0 * chosen / n_chosen - 2.0 * rejected / n_rejected - 0.7).mean()


def odpo(model, rows, gaps):
    """Amini et al. 2024: -log sigmoid(the implicit reward's gap, less alpha * log of the score gap)."""
    return -F.logsigmoid(0.1 * margins_of(model, rows) - 0.5 * gaps.log()).mean()


def odpo_linear_weighted(model, rows, gaps):
    """The gap itself as the offset, and each pair's loss times gap / mean gap."""
    losses = -F.logsigmoid(0.1 * margins_of(model, rows) - gaps)
    return (losses * gaps / gaps.mean()).mean()


def hinge_with_offset(model, rows, gaps):
    """The hinge of SLiC with the gap as an offset."""
    return F.relu(1 - (0.1 * margins_of(model, rows) - 2 * gaps)).mean()


def wpo_times_gap(model, rows, gaps):
    """WPO's own weight (it caps the product), times gap / mean gap."""
    losses, _ = paper_wpo(model, rows, MethodSpec(use_weighting=True))
    return (losses * gaps / gaps.mean()).mean()


@pytest.mark.parametrize(
    ("formula", "method"),
    [
        (simpo, MethodSpec(loss_type="simpo", beta=2.0, gamma=0.7)),
        (odpo, MethodSpec(margin_from="log_score_gap", margin_scale=0.5)),
        (odpo_linear_weighted, MethodSpec(margin_from="score_gap", weights_from="score_gap")),
        (hinge_with_offset, MethodSpec(loss_type="hinge", margin_from="score_gap", margin_scale=2.0)),
        (wpo_times_gap, MethodSpec(use_weighting=True, weights_from="score_gap")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_trl_lacks_is_its_formula(formula, method, trainer, policy, scored):
    ours = trainer(method)
    gaps = torch.linspace(0.5, 6.0, BATCH_PAIRS)
    columns = gap_columns(method, gaps.numpy().astype(float), "test")
    plain = scored.select(range(BATCH_PAIRS)).to_list()
    rows = [row | {name: float(values[k]) for name, values in columns.items()} for k, row in enumerate(plain)]
    got = loss_and_gradients(ours, make_batch(ours, rows))
    by_hand = copy.deepcopy(policy)
    loss = formula(by_hand, plain, gaps)
    loss.backward()
    assert_same(got, (loss.item(), {name: p.grad for name, p in by_hand.named_parameters()}))


def test_simpo_is_trls_own_in_its_cpo_trainer():
    """TRL has SimPO in an experimental trainer for another kind of data; its loss is a function of log pi."""
    from types import SimpleNamespace

    from trl.experimental.cpo import CPOTrainer

    chosen, rejected = torch.tensor([-3.0, -40.0]), torch.tensor([-9.0, -12.0])
    n_chosen, n_rejected = torch.tensor([2, 30]), torch.tensor([5, 4])
    settings = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu"),
        loss_type="simpo",
        simpo_gamma=0.7,
        beta=2.0,
        label_smoothing=0,
        alpha=0.0,
    )
    theirs = CPOTrainer.cpo_loss(settings, chosen / n_chosen, rejected / n_rejected)[0]
    method = MethodSpec(loss_type="simpo", beta=2.0, gamma=0.7)
    mask = torch.arange(40) < torch.cat([n_chosen, n_rejected])[:, None]
    inputs = {"completion_mask": mask, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
    shifted = reference_logps(method, inputs)
    scores = [
        (logp - shifted[f"ref_{side}_logps"]) / n
        for side, logp, n in (("chosen", chosen, n_chosen), ("rejected", rejected, n_rejected))
    ]  # what TRL's sigmoid_norm computes
    torch.testing.assert_close(-F.logsigmoid(2.0 * (scores[0] - scores[1])), theirs)
