"""What a dry run says of cards: counted as `training.memory` counts, without torch and without weights."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.plan.cards import cards_that_fit
from orchestrator.study.files import deepspeed_config
from orchestrator.study.study import Study
from training.lora_spec import LoraSpec
from training.memory import footprint
from training.model_path import known_config

SHAPES = Path(__file__).parents[1] / "docs/example/shapes"


def study(model: str, gpus: float | str = "auto", **more: Any) -> Study:
    return Study.model_validate(
        {
            "study": "cards",
            "model": {"path": str(SHAPES / model), "lora": {"r": 8}},
            "splits": {"S": {"by": "random", "predicted": "A = B"}},
            "methods": {"dpo": {}},
            "seeds": [1],
            "resources": {"gpus_per_worker": gpus},
            "training": {"max_length": 1024, "batch_size": 8},
            **more,
        }
    )


def rows(text: str) -> dict[str, list[str]]:
    """Return what is trained, with its resources -> the entries of the three cards."""
    table = [line.split("  ") for line in text.splitlines()[2:]]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in table]
    return {" ".join(line[:-3]): line[-3:] for line in cells}


def test_each_entry_is_the_largest_micro_batch_whose_count_is_within_the_card() -> None:
    asked = study("Qwen2.5-1.5B")
    config, settings = known_config(asked.model), deepspeed_config(asked.resources.shape, asked.training)

    def gigabytes(size: int, lora: LoraSpec | None, checkpointing: bool) -> float:
        return footprint(config, asked.training, size, 1, settings, lora, checkpointing).total / 1e9

    shown = rows(cards_that_fit(asked))
    assert len(shown) == 8
    settings3 = deepspeed_config(
        asked.resources.shape.model_copy(update={"deepspeed": "zero3_offload"}), asked.training
    )
    needed = footprint(config, asked.training, 8, 1, settings3, None, True)
    assert needed.total <= 24e9
    name = f"all weights, host {needed.host / 1e9:.0f} GB deepspeed: zero3_offload"
    assert shown[name] == ["8", "8", "8"]
    assert shown["all weights"][0] == "does not fit"
    assert gigabytes(1, None, False) > 24
    assert shown["lora: {r: 8}"] == ["2", "4", "8"]
    assert gigabytes(2, LoraSpec(r=8), False) <= 24 < gigabytes(4, LoraSpec(r=8), False)
    both = gigabytes(8, LoraSpec(r=8), True)
    assert shown["lora: {r: 8} activation_checkpointing: true"][2] == f"8 ({int(80 // both)} cells)"


def test_arms_side_by_side_are_counted_together() -> None:
    resources = {"gpus_per_worker": "auto", "cells_together": 1}
    asked = study("Qwen2.5-1.5B", resources=resources)
    config, settings = known_config(asked.model), deepspeed_config(asked.resources.shape, asked.training)

    def gigabytes(size: int) -> float:
        lora = LoraSpec(r=8)
        return footprint(config, asked.training, size, 1, settings, lora, arms=2).total / 1e9

    text = cards_that_fit(asked)
    assert "both arms of a cell with adapters side by side" in text.splitlines()[0]
    assert rows(text)["lora: {r: 8}"] == ["1", "2", "4"]
    assert gigabytes(1) <= 24 < gigabytes(2) <= 48 < gigabytes(4) <= 80 < gigabytes(8)
    assert rows(text)["all weights"] == rows(cards_that_fit(study("Qwen2.5-1.5B")))["all weights"]


def test_a_dry_run_says_how_many_cells_a_card_takes_side_by_side() -> None:
    def shown(together: int | str) -> list[str]:
        resources = {"gpus_per_worker": "auto", "cells_together": together, "activation_checkpointing": True}
        training = {"max_length": 256, "batch_size": 4}
        return rows(cards_that_fit(study("Qwen2.5-0.5B", resources=resources, training=training)))[
            "lora: {r: 8} activation_checkpointing: true"
        ]

    asked = study("Qwen2.5-0.5B", training={"max_length": 256, "batch_size": 4})
    config, settings = known_config(asked.model), deepspeed_config(asked.resources.shape, asked.training)

    def lanes(cells: int, card: int) -> int:
        lora = LoraSpec(r=8)
        memory = footprint(config, asked.training, 4, 1, settings, lora, True, arms=2 * cells)
        return int(card * 1e9 // memory.total)

    assert lanes(20, 24) == 1
    assert shown(20)[0] == "4 (1 x 20)"
    assert lanes(3, 80) > 1
    assert shown(3)[2] == f"4 ({lanes(3, 80)} x 3)"
    # Four cells are a row of 16,384 tokens.
    assert lanes(4, 80) > 1
    assert shown("auto")[2] == f"4 ({lanes(4, 80)} x 4)"


def test_what_stage_3_cannot_train_is_no_row() -> None:
    text = cards_that_fit(study("Qwen2.5-1.5B", resources={"gpus_per_worker": 1, "deepspeed": "zero3"}))
    assert {row.split(" activation")[0].split(", host")[0] for row in rows(text)} == {
        "all weights",
        "lora: {r: 8}",
    }


def test_a_model_that_is_not_here_is_not_counted(tmp_path: Path) -> None:
    absent = study(str(tmp_path))
    assert cards_that_fit(absent) == "cards: unknown until the model's config.json is on this disk"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba", "hidden_size": 8}))
    assert cards_that_fit(absent) == "cards: the memory of mamba models cannot be counted"


def test_nothing_is_said_of_a_study_on_cpus() -> None:
    assert cards_that_fit(study("Qwen2.5-1.5B", gpus=0)) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": {"path": "tiny"}}, "arms share a model only where they train adapters; set model.lora"),
        ({"resources": {"cells_together": 1, "workers": 2}}, "not with workers 2"),
        ({"training": {"dtype": "float16", "batch_size": 4}}, "not with dtype float16"),
        (
            {
                "model": {"path": "tiny", "lora": {"dropout": 0.1}},
                "resources": {"cells_together": 1, "activation_checkpointing": True},
            },
            "not with adapters' dropout and activation_checkpointing",
        ),
        ({"methods": {"dpo": {"use_weighting": True, "wpo_alignment": "greedy"}}}, "not with wpo_alignment"),
    ],
    ids=["no adapters", "workers", "float16", "dropout", "greedy"],
)
def test_what_rules_out_arms_side_by_side_is_named(changes: dict[str, Any], why: str) -> None:
    together = {
        "study": "s",
        "splits": {"S": {"by": "random", "predicted": "A = B"}},
        "methods": {"dpo": {}},
        "seeds": [1],
        "model": {"path": "tiny", "lora": {}},
        "training": {"batch_size": 4},
        "resources": {"cells_together": 1, "gpus_per_worker": 1},
    }
    Study.model_validate(together)
    with pytest.raises(ValueError, match=rf"resources.cells_together: {why}"):
        Study.model_validate(together | changes)


def test_float16_needs_a_gpu() -> None:
    training = {"dtype": "float16"}
    with pytest.raises(ValueError, match=r"training.dtype: float16 needs a GPU, and resources.gpus_per_wor"):
        study("Qwen2.5-1.5B", gpus=0, training=training)
    assert study("Qwen2.5-1.5B", training=training).training.dtype == "float16"
