"""Methods are data: what TRL would refuse late is refused early, and TRL has the losses listed here."""

import ast
import inspect

import pytest

from training.errors import StudyError
from training.losses import LOSSES
from training.objectives import check, trl_arguments
from training.spec import MethodSpec


def test_the_losses_are_those_of_trl():
    from trl.trainer import dpo_trainer

    source = ast.parse(inspect.getsource(dpo_trainer))
    compared = {
        node.comparators[0].value
        for node in ast.walk(source)
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and node.left.id == "loss_type"
        if isinstance(node.comparators[0], ast.Constant)
    }
    assert set(LOSSES) == compared | {"simpo"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss_type": "hing"}, "m.loss_type: no loss 'hing'; did you mean 'hinge'? valid: aot, "),
        ({"loss_type": []}, "m.loss_type: an empty list"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, "m.loss_weights: 1 weights for 2 losses"),
        ({"loss_type": "aot", "use_weighting": True}, "m.use_weighting: aot"),
        ({"loss_type": "sft", "use_weighting": True}, "m.use_weighting: sft"),
        ({"loss_type": "apo_zero", "f_divergence_type": "forward_kl"}, "m.f_divergence_type: forward_kl"),
        ({"loss_type": "exo_pair"}, "m.label_smoothing: 0 with exo_pair"),
        ({"loss_type": "robust", "label_smoothing": 0.5}, "m.label_smoothing: 0.5 with robust"),
        ({"label_smoothing": 0.1}, "m.label_smoothing: 0.1 needs loss_type"),
        ({"discopop_tau": 0.1}, "m.discopop_tau: 0.1 needs loss_type discopop"),
        ({"f_alpha_divergence_coef": 0.7}, "m.f_alpha_divergence_coef: 0.7 needs f_divergence_type"),
        ({"loss_type": "hinge", "use_weighting": True}, "m.use_weighting: not with hinge"),
        ({"loss_type": "sft", "weights_from": "score_gap"}, "m.weights_from: sft"),
        ({"loss_type": "simpo"}, "m.gamma: absent; SimPO needs its target margin"),
        (
            {"loss_type": ["simpo", "ipo"], "gamma": 1.0},
            "simpo reads no reference, and ipo does",
        ),
        ({"loss_type": "sft", "ld_alpha": 0.5}, "m.ld_alpha: 0.5 needs a loss beside sft"),
        ({"loss_type": "simpo", "gamma": 1.0, "ld_alpha": 0.5}, "m.ld_alpha: not with simpo; it divides by"),
        (
            {"loss_type": "simpo", "gamma": 1.0, "margin_from": "score_gap"},
            "m.margin_from: not with simpo; gamma is",
        ),
        ({"loss_type": "ipo", "margin_from": "score_gap"}, "m.margin_from: score_gap with ipo; a target"),
        (
            {"margin_from": "score_gap", "f_divergence_type": "forward_kl"},
            "m.margin_from: score_gap with f_divergence_type: forward_kl",
        ),
        ({"gamma": 1.0}, "m.gamma: 1.0 needs loss_type: simpo"),
        ({"margin_scale": 2.0}, "m.margin_scale: 2.0 needs margin_from"),
        ({"wpo_clamp": "trl"}, "m.wpo_clamp: trl needs use_weighting"),
        ({"wpo_alignment": "greedy"}, "m.wpo_alignment: greedy needs use_weighting"),
    ],
)
def test_a_mistake_is_reported_with_its_place(arguments, message):
    with pytest.raises(StudyError) as error:
        check(MethodSpec(**arguments), "m")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_builds_trls_configuration(loss, tmp_path):
    from trl import DPOConfig

    smoothing = {"label_smoothing": 0.01} if loss in ("exo_pair", "robust") else {}
    gamma = {"gamma": 0.1} if loss == "simpo" else {}
    method = MethodSpec(loss_type=loss, beta=0.2, **smoothing, **gamma)
    check(method, "m")
    config = DPOConfig(tmp_path, use_cpu=True, bf16=False, report_to="none", **trl_arguments(method))
    assert (config.loss_type, config.beta) == (["sigmoid_norm" if loss == "simpo" else loss], 0.2)
