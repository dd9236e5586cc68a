"""`gpus_per_worker: auto`: what packs onto a card, and what the cluster is asked for it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config

from orchestrator.run import share
from orchestrator.study.files import CONFIGS, load
from orchestrator.study.study import Study
from training.errors import StudyError

GIB = 2**30


def demo(model: Path, *overrides: str) -> Study:
    return load(CONFIGS / "demo.yaml", [f"model.path={model}", *overrides])


def nobody() -> int:
    raise AssertionError("the cluster was asked")


@given(need=st.integers(1, 200 * GIB), card=st.integers(1, 200 * GIB))
def test_as_many_share_a_card_as_its_memory_holds(need: int, card: int) -> None:
    part = share.share(need, card)
    sharers = int(1 / part)
    assert sharers * part <= 1  # Ray places them all
    assert sharers * need <= card or sharers == 1
    assert (sharers + 1) * need > card or sharers == share.MOST


def test_auto_becomes_a_fraction_of_the_smallest_card(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=auto")
    large, small = (share.sized(study, tmp_path, lambda size=size: size * GIB) for size in (80, 16))
    assert 0 < large.shape_of("dpo").gpus < small.shape_of("dpo").gpus < 1
    assert large.model_copy(update={"methods": study.methods}) == study


def test_two_workers_of_a_group_get_a_card_each(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=auto", "resources.workers=2")
    assert share.sized(study, tmp_path, nobody).shape_of("dpo").gpus == 1


def test_a_method_has_a_share_of_its_own(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=auto", "methods.wpo.resources.deepspeed=zero0")
    fitted = share.sized(study, tmp_path, lambda: 80 * GIB)
    assert fitted.shape_of("wpo").gpus < fitted.shape_of("dpo").gpus
    assert fitted.shape_of("wpo").deepspeed == "zero0"
    assert fitted.shape_of("wpo").cpus_per_worker == study.resources.cpus_per_worker


def test_a_number_is_left_as_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=0.3")
    assert share.sized(study, tmp_path, nobody) is study


def test_an_architecture_that_is_not_counted_is_named(tmp_path: Path) -> None:
    GPT2Config().save_pretrained(tmp_path)
    for name in ("model.safetensors", "tokenizer_config.json"):
        (tmp_path / name).touch()
    study = demo(tmp_path, "resources.gpus_per_worker=auto")
    with pytest.raises(StudyError, match="gpt2 models; give a number"):
        share.sized(study, tmp_path, lambda: 80 * GIB)
