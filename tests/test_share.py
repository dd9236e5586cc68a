"""`gpus_per_worker: auto`: how many workers share a card, and when the cluster is looked at."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config

from orchestrator.run.share import MAX_WORKERS_PER_CARD, card_share, resolve_auto
from orchestrator.study.files import CONFIGS, load
from orchestrator.study.study import Study
from training.errors import StudyError

GIB = 2**30


def demo(model: Path, *overrides: str) -> Study:
    return load(CONFIGS / "demo.yaml", [f"model.path={model}", *overrides])


def fail_if_called() -> int:
    raise AssertionError("the cluster was looked at")


@given(worker_bytes=st.integers(1, 200 * GIB), card_bytes=st.integers(1, 200 * GIB))
def test_as_many_workers_share_a_card_as_its_memory_holds(worker_bytes: int, card_bytes: int) -> None:
    share = card_share(worker_bytes, card_bytes)
    workers = int(1 / share)
    assert workers * share <= 1  # Ray places them all
    assert workers * worker_bytes <= card_bytes or workers == 1
    assert (workers + 1) * worker_bytes > card_bytes or workers == MAX_WORKERS_PER_CARD


def test_auto_becomes_a_fraction_of_the_smallest_card(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=auto")
    on_large, on_small = (
        resolve_auto(study, tmp_path, card_bytes=lambda size=size: size * GIB) for size in (80, 16)
    )
    assert 0 < on_large.shape_of("dpo").gpus < on_small.shape_of("dpo").gpus < 1
    assert on_large.model_copy(update={"methods": study.methods}) == study


def test_two_workers_of_a_group_get_a_card_each(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=auto", "resources.workers=2")
    assert resolve_auto(study, tmp_path, card_bytes=fail_if_called).shape_of("dpo").gpus == 1


def test_each_method_has_a_share_of_its_own(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=auto", "methods.wpo.resources.deepspeed=zero0")
    resolved = resolve_auto(study, tmp_path, card_bytes=lambda: 80 * GIB)
    assert resolved.shape_of("wpo").gpus < resolved.shape_of("dpo").gpus
    assert resolved.shape_of("wpo").deepspeed == "zero0"
    assert resolved.shape_of("wpo").cpus_per_worker == study.resources.cpus_per_worker


def test_a_number_is_left_as_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, "resources.gpus_per_worker=0.3")
    assert resolve_auto(study, tmp_path, card_bytes=fail_if_called) is study


def test_an_architecture_whose_memory_cannot_be_counted_is_named(tmp_path: Path) -> None:
    GPT2Config().save_pretrained(tmp_path)
    for name in ("model.safetensors", "tokenizer_config.json"):
        (tmp_path / name).touch()
    study = demo(tmp_path, "resources.gpus_per_worker=auto")
    with pytest.raises(StudyError, match="gpt2 models; give a number"):
        resolve_auto(study, tmp_path, card_bytes=lambda: 80 * GIB)


LORA = ("model.lora.r=8", "resources.cells_together=auto", "training.max_length=64")


def test_auto_trains_as_many_cells_side_by_side_as_pay_and_fit(tiny_folder: Path, tmp_path: Path) -> None:
    study = demo(tiny_folder, *LORA, "resources.gpus_per_worker=auto", "training.batch_size=8")
    on_large, on_small = (
        resolve_auto(study, tmp_path, card_bytes=lambda size=size: int(size * GIB)).shape_of("dpo")
        for size in (80, 2.8)
    )
    # 16 cells x 2 arms x 8 pairs x 2 answers x 64 tokens are a row of 32,768 tokens; half as many pay.
    assert on_large.cells_together == 8
    assert on_large.gpus < 1  # a lane of 8 cells leaves room on the card for another
    assert 1 <= on_small.cells_together < 8
    assert on_small.gpus == 1
    one_pair = demo(tiny_folder, *LORA, "resources.gpus_per_worker=auto", "resources.micro_batch=1")
    assert resolve_auto(one_pair, tmp_path, card_bytes=lambda: 80 * GIB).shape_of("dpo").cells_together == 64


def test_no_lane_is_left_without_a_cell_where_auto_puts_cells_together(
    tiny_folder: Path, tmp_path: Path
) -> None:
    study = demo(tiny_folder, *LORA, "training.batch_size=8")
    for lanes, together in ((1, 6), (2, 3), (4, 2), (32, 1)):
        cells = {"dpo": 4, "wpo": 2}
        resolved = resolve_auto(
            study, tmp_path, cells, card_bytes=fail_if_called, lanes_that_fit=lambda _, lanes=lanes: lanes
        )
        assert {shape.cells_together for shape in resolved.shapes.values()} == {together}
    assert resolve_auto(study, tmp_path, card_bytes=fail_if_called).shape_of("dpo").cells_together == 8
