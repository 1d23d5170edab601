"""Which parts of a network learn: all, its later layers, its head alone, or low-rank matrices beside its weights."""

from __future__ import annotations

from typing import Literal

from torch import nn

from astrogalaxy.morphology.backbones import feature_layers, reinitialise
from astrogalaxy.morphology.network import GalaxyNetwork

__all__ = ["learning_parts", "merge_lora", "tune", "with_lora"]

Tuning = Literal["all", "deep", "shallow"]

# Linear layers of a transformer's blocks that get low-rank matrices.
_LORA_LAYERS = ("qkv", "proj", "fc1", "fc2")
# Dense layers that some backbones have after their map.
_DENSE = ("pre_logits", "dense")


def learning_parts(network: GalaxyNetwork, tuning: Tuning, *, frozen: float = 0.5) -> list[nn.Module]:
    """Parts of a network's backbone that learn; the rest of it stays as it is, tokens and positions included.

    Parameters
    ----------
    network : GalaxyNetwork
        The network. What comes after its backbone always learns.
    tuning : {'all', 'deep', 'shallow'}
        ``deep``: the feature layers with weights after the first share, and what comes after them; ``shallow``: dense
        layers after the map alone (VGG's).
    frozen : float
        That share; 0: all learns.

    Returns
    -------
    list of torch.nn.Module
        None of them is a part of another.
    """
    backbone = network.backbone
    if tuning == "shallow":
        return [part for name, part in backbone.named_children() if name in _DENSE]
    later = _later_layers(backbone, frozen)
    if tuning == "all" or len(later) == len(_layers(backbone)):
        return [backbone]
    children, last = [*backbone.children()], _layers(backbone)[-1]
    holder = next(n for n, child in enumerate(children) if any(part is last for part in child.modules()))
    return [*later, *children[holder + 1 :]]


def _layers(backbone: nn.Module) -> list[nn.Module]:
    """Feature layers with weights."""
    return [layer for layer in feature_layers(backbone) if any(True for _ in layer.parameters())]


def _later_layers(backbone: nn.Module, frozen: float) -> list[nn.Module]:
    layers = _layers(backbone)
    return layers[round(frozen * len(layers)) :]


def _without(module: nn.Module, parts: list[nn.Module]) -> list[nn.Module]:
    """The largest parts of a module that hold none of these."""
    inside = {id(part) for part in module.modules()}
    if not any(id(part) in inside for part in parts):
        return [module]
    if any(part is module for part in parts):
        return []
    return [rest for child in module.children() for rest in _without(child, parts)]


def tune(network: GalaxyNetwork, tuning: Tuning, *, frozen: float = 0.5) -> list[nn.Module]:
    """Freeze parts of a network in place; a deep tuning gives new random numbers to the feature layers that learn.

    What comes after the feature layers (a last convolution, a norm, dense layers) goes on from its weights.

    Returns
    -------
    list of nn.Module
        The parts that stay: keep them in inference, or their normalisation moves.
    """
    learning = learning_parts(network, tuning, frozen=frozen)
    # by what learns, not by what stays: tokens and positions of transformers belong to no part
    network.backbone.requires_grad_(False)
    for part in learning:
        part.requires_grad_(True)
    if tuning == "deep":
        for layer in _later_layers(network.backbone, frozen):
            reinitialise(layer)
    return _without(network.backbone, learning)


def with_lora(backbone: nn.Module, rank: int) -> nn.Module:
    """Give a transformer low-rank matrices beside its linear layers (LoRA, Hu et al. 2022); only these learn.

    Parameters
    ----------
    backbone : nn.Module
        Changed in place.
    rank : int
        Of the matrices.

    Returns
    -------
    torch.nn.Module
        The same network with the matrices in it.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(_LORA_LAYERS))
    backbone.requires_grad_(False)
    return inject_adapter_in_model(config, backbone)  # type: ignore[no-any-return]


def merge_lora(backbone: nn.Module) -> nn.Module:
    """Add the low-rank matrices to the weights and take them away: the network is again what it was made as."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(backbone.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()  # type: ignore[operator]
            parent = backbone.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], module.get_base_layer())
    return backbone
