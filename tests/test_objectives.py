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
    assert set(LOSSES) == compared


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss_type": "hing"}, "m.loss_type: no loss 'hing' in TRL; did you mean 'hinge'? valid: aot, "),
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
    method = MethodSpec(loss_type=loss, beta=0.2, **smoothing)
    check(method, "m")
    config = DPOConfig(tmp_path, use_cpu=True, bf16=False, report_to="none", **trl_arguments(method))
    assert (config.loss_type, config.beta) == ([loss], 0.2)
