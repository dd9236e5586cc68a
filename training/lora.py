"""Give a model the adapters of a study (`training/lora_spec.py`) through peft."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import StudyError
from training.hints import suggestion
from training.lora_spec import AUTO, LoraSpec
from training.model import ModelFiles, load_original_config

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

PLACE = "model.lora.target_modules"


def peft_config(lora: LoraSpec, files: ModelFiles) -> "LoraConfig":
    """Return the adapters as peft describes them; `files` are those of the base model."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if lora.target_modules == AUTO else list(lora.target_modules),
        use_rslora=lora.rslora,
        revision=files.revision,
        task_type="CAUSAL_LM",
    )


def refuse_unknown_targets(lora: LoraSpec, files: ModelFiles) -> None:
    """Raise StudyError if the model has no linear layers of the names that should get adapters.

    The model is built from its configuration without weights, so that this takes a second.
    """
    if lora.target_modules == AUTO:
        return
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(load_original_config(files), trust_remote_code=False)
    known = linear_layers(model)
    for name in lora.target_modules:
        if name not in known:
            raise StudyError(
                f"{PLACE}: no linear layer {name!r} in {files.path} that can have an adapter; "
                f"{suggestion(name, known)}"
            )


def linear_layers(model: "PreTrainedModel") -> list[str]:
    """Return the names of the linear layers but the head, each once: the last parts of their whole names.

    The head gets no adapter, since TRL's loss reads its weight alone.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    head = model.get_output_embeddings()
    return sorted(
        {
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear | Conv1D) and module is not head
        }
    )


def without_dropout_modules(model: "PreTrainedModel") -> None:
    """Turn off every dropout module of a model, as TRL does where there are no adapters.

    TRL would turn off the dropout of adapters as well.
    """
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def causal_lm(model: "PreTrainedModel | PeftModel") -> "PreTrainedModel":
    """Return transformers' model, whose layers have the adapters in them, if there are any."""
    from peft import PeftModel

    return model.get_base_model() if isinstance(model, PeftModel) else model


def prepare_adapters(model: "PeftModel", dtype: "torch.dtype") -> None:
    """Hold adapters in a dtype, and let the model's state hold these alone, so that checkpoints are small.

    TRL holds the adapters of a model of 4 bits in bfloat16. DeepSpeed leaves out frozen weights by name, and
    knows one name alone of an embedding that is the head as well.
    """

    def drop_frozen(module: "PeftModel", state: dict[str, Any], prefix: str, _metadata: Any) -> None:
        trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
        for name in [name for name in state if name.removeprefix(prefix) not in trained]:
            del state[name]

    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(dtype)
    model.register_state_dict_post_hook(drop_frozen)


def save_adapters(model: "PeftModel", folder: Path) -> None:
    """Write the adapters alone, with the name of their base model, to a folder that peft loads."""
    model.save_pretrained(folder)
    (folder / "README.md").unlink()  # a model card that says nothing
