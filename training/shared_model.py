"""One base model under the adapters of several arms, with one forward pass for the tokens of all of them.

Each arm has a model of its own, whose modules share the base model's weights, and its adapters there. The
joint model shares them as well; where the arms have adapters, it has a layer that gives each arm's tokens to
that arm's adapters.
"""

import copy
from dataclasses import dataclass
from typing import Self

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.own_globals import OwnRandomness

ADAPTER = "default"  # peft's name of an arm's adapter


@dataclass
class ArmAdapters:
    """The adapters of an arm, and how many tokens of the current row are its own.

    layers: peft's layers by their names in the model.
    weights: The adapters' weights.
    randomness: From which their dropout is drawn.
    """

    layers: dict[str, LoraLayer]
    weights: list[nn.Parameter]
    randomness: OwnRandomness
    tokens: int = 0

    @classmethod
    def of(cls, model: PreTrainedModel, randomness: OwnRandomness) -> Self:
        """Return the adapters that peft has put into a model."""
        layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        return cls(layers, weights, randomness)

    def product(self, name: str, inputs: Tensor) -> Tensor:
        """Return what the arm's adapter adds to the output of a layer: s B A x, as peft computes it."""
        layer = self.layers[name]
        down, up, dropout = (part[ADAPTER] for part in (layer.lora_A, layer.lora_B, layer.lora_dropout))
        if not isinstance(dropout, nn.Identity):
            with self.randomness.in_use():
                inputs = dropout(inputs)
        added: Tensor = up(down(inputs)) * layer.scaling[ADAPTER]
        return added


class SideBySide(nn.Module):
    """A linear layer W with the adapters of several arms: W x + s B_i A_i x for the tokens x of arm i.

    `arms` is shared with whoever fills it before each forward pass: the arms in the order of the row.
    """

    def __init__(self, name: str, layer: nn.Module, arms: list[ArmAdapters]) -> None:
        super().__init__()
        self.layer = layer
        self._name, self._arms = name, arms

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs [.., N, out] of inputs [.., N, in]; the N tokens are those of the row."""
        parts = torch.split(inputs, [arm.tokens for arm in self._arms], dim=-2)
        added = [arm.product(self._name, part) for arm, part in zip(self._arms, parts, strict=True)]
        output: Tensor = self.layer(inputs)
        return output + torch.cat(added, dim=-2)


def sharing_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a model whose modules are new, and whose weights and buffers are the same tensors."""
    shared = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def joint_model(base: PreTrainedModel, like: ArmAdapters, arms: list[ArmAdapters]) -> PreTrainedModel:
    """Return a copy of the base model with `SideBySide` layers where an arm has adapters.

    Args:
        base: The base model.
        like: An arm; all have adapters in the same layers.
        arms: The list that `SideBySide` reads.
    """
    joint = sharing_copy(base)
    for name in like.layers:
        joint.set_submodule(name, SideBySide(name, joint.get_submodule(name), arms))
    return joint
