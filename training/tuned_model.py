"""Save a tuned model as a folder that plain transformers loads, with tokenizer and provenance."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from training.lora import save_adapters
from training.model import ModelFiles, load_original_config, load_tokenizer

PROVENANCE_FILE = "provenance.json"


def save_tuned_model(
    model: PreTrainedModel | PeftModel, base: ModelFiles, folder: Path, provenance: Mapping[str, Any]
) -> None:
    """Write weights, configuration, tokenizer with its chat template, and `provenance.json` to a folder.

    Of a model with adapters, the adapters alone are written, with the path or hub id of their base model.

    Args:
        model: The tuned model (`training.arm.ArmResult.model`).
        base: The files of the model that was tuned. The configuration is theirs: an arm has its dropout
            switched off, and the saved model has not.
        folder: A new or empty folder.
        provenance: What `provenance.json` holds: JSON values.
    """
    if isinstance(model, PeftModel):
        save_adapters(model, folder)
    else:
        model.save_pretrained(folder)
        config = load_original_config(base)
        config.dtype, config.architectures = model.dtype, [type(model).__name__]
        config.save_pretrained(folder)
    load_tokenizer(base).save_pretrained(folder)
    (folder / PROVENANCE_FILE).write_text(json.dumps(dict(provenance), indent=1), encoding="utf-8")
