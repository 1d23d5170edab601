"""What of a network learns: all of it, its later layers, its head alone, or low-rank matrices beside its weights."""

from __future__ import annotations

from typing import Literal

from torch import nn

from astrogalaxy.morphology.backbones import feature_layers, reinitialise
from astrogalaxy.morphology.network import GalaxyNetwork

__all__ = ["frozen_parts", "merge_lora", "tune", "with_lora"]

Tuning = Literal["all", "deep", "shallow"]

# Linear layers of a transformer's blocks that get low-rank matrices.
_LORA_LAYERS = ("qkv", "proj", "fc1", "fc2")


def frozen_parts(network: GalaxyNetwork, tuning: Tuning, *, frozen: float = 0.5) -> list[nn.Module]:
    """Parts of a network that stay as they are.

    Parameters
    ----------
    network : GalaxyNetwork
        The network.
    tuning : {'all', 'deep', 'shallow'}
        ``deep`` keeps the first share of the feature layers that have weights, and what stands before them; ``shallow``
        keeps the whole backbone, except dense layers after its map (VGG's).
    frozen : float
        That share.

    Returns
    -------
    list of torch.nn.Module
        Empty where all learn.
    """
    if tuning == "all":
        return []
    backbone = network.backbone
    if tuning == "shallow":
        dense = [part for name, part in backbone.named_children() if name in {"pre_logits", "dense"}]
        return [part for part in backbone.children() if part not in dense]
    layers = [layer for layer in feature_layers(backbone) if any(True for _ in layer.parameters())]
    later = {id(part) for layer in layers[round(frozen * len(layers)) :] for part in layer.modules()}
    first = layers[: round(frozen * len(layers))]
    names = [name for name, part in backbone.named_children() if "stem" in name or name in {"bn1", "patch_embed"}]
    stems = [getattr(backbone, name) for name in names] if first else []
    return [part for part in (*stems, *first) if id(part) not in later]


def tune(network: GalaxyNetwork, tuning: Tuning, *, frozen: float = 0.5) -> list[nn.Module]:
    """Freeze parts of a network in place; a deep tuning gives new random numbers to the feature layers that learn.

    Returns
    -------
    list of nn.Module
        The parts that stay: keep them in inference, or their normalisation moves.
    """
    parts = frozen_parts(network, tuning, frozen=frozen)
    for part in parts:
        part.requires_grad_(False)
    if tuning == "deep":
        layers = [layer for layer in feature_layers(network.backbone) if any(True for _ in layer.parameters())]
        for layer in layers[round(frozen * len(layers)) :]:
            reinitialise(layer)
    return parts


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
