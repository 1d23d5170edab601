"""Explanation maps of a classifier: saliency, Grad-CAM, and the attention of its class token."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from astrogalaxy.errors import brought_by, need

with brought_by("train"):
    import torch

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from astrogalaxy.errors import WeightsError
from astrogalaxy.morphology.backbones import feature_layers
from astrogalaxy.morphology.network import GalaxyNetwork
from astrogalaxy.morphology.pictures import checked_pictures, network_input, views

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MAPS", "Map", "explain", "figure_of", "likeliest", "probabilities_of"]

#: Name of an explanation map.
Map = Literal["saliency", "gradcam", "attention"]
#: The maps that `explain` makes.
MAPS: tuple[Map, ...] = ("saliency", "gradcam", "attention")

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


def explain(
    network: GalaxyNetwork,
    picture: Picture,
    *,
    normalise: str,
    target: int | None = None,
    maps: Map | Sequence[Map] = MAPS,
) -> dict[str, Floats]:
    """Make maps of what a network looks at in a picture.

    Parameters
    ----------
    network : GalaxyNetwork
        Any classifier.
    picture : ndarray
        ``(side, side, 3)`` uint8, of the network's side.
    normalise : str
        How pixels become its input; see the weight card.
    target : int, optional
        Class that the maps are of, by its number in the weight card; default the `likeliest`.
    maps : str or sequence of str
        Out of `MAPS`. A map that the network does not have (attention without a class token) is left out if another
        one is asked for as well.

    Returns
    -------
    dict of str to ndarray
        ``(side, side)`` float32 from 0 to 1 each.

    Raises
    ------
    WeightsError
        If there is no such map, class or way to normalise, or the network has none of the maps.
    ImageError
        If the picture is of another shape or type.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.morphology.explain import explain
    >>> from astrogalaxy.morphology.network import NetworkSpec, build
    >>> network = build(NetworkSpec("average-pool-cnn", classes=2, side=32))
    >>> picture = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    >>> maps = explain(network, picture, normalise="unit", maps=["saliency", "attention"])
    >>> [(name, values.shape) for name, values in maps.items()]  # this network has no attention
    [('saliency', (32, 32))]
    """
    maps = [maps] if isinstance(maps, str) else maps
    unknown = [name for name in maps if name not in MAPS]
    if unknown:
        msg = f"there is no map {unknown[0]!r}; choose from {', '.join(MAPS)}"
        raise WeightsError(msg)
    network = network.eval()
    x = torch.from_numpy(network_input(checked_pictures([picture], network.spec.side), normalise))
    target = likeliest(network, picture, normalise=normalise) if target is None else _class(network, target)
    makers = {"saliency": _saliency, "gradcam": _grad_cam, "attention": _attention_map}
    there = [name for name in maps if name != "attention" or _has_class_token(network)]
    made = {name: makers[name](network, x, target) for name in there}
    if not made:
        msg = f"{network.spec.architecture} has no class token, and so no attention map; choose saliency or gradcam"
        raise WeightsError(msg)
    return made


def likeliest(network: GalaxyNetwork, picture: Picture, *, normalise: str, copies: int = 1) -> int:
    """Which class is the most probable one of a picture.

    Parameters
    ----------
    network : GalaxyNetwork
        Any classifier.
    picture : ndarray
        ``(side, side, 3)`` uint8, of the network's side.
    normalise : str
        How pixels become its input; see the weight card.
    copies : {1, 8}
        Views whose mean is its answer; see the weight card.

    Returns
    -------
    int
        Its number in the weight card.

    Raises
    ------
    WeightsError
        If there is no such way to normalise.
    ImageError
        If the picture is of another shape or type.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.morphology.explain import likeliest
    >>> from astrogalaxy.morphology.network import NetworkSpec, build
    >>> network = build(NetworkSpec("average-pool-cnn", classes=2, side=32))
    >>> likeliest(network, np.zeros((32, 32, 3), np.uint8), normalise="unit", copies=8) in (0, 1)
    True
    """
    return int(probabilities_of(network, picture, normalise=normalise, copies=copies).argmax())


def probabilities_of(
    network: GalaxyNetwork, picture: Picture, *, normalise: str, copies: int = 1, temperature: float = 1.0
) -> Floats:
    """Probability of each class of a picture.

    Parameters
    ----------
    network : GalaxyNetwork
        Any classifier.
    picture : ndarray
        ``(side, side, 3)`` uint8, of the network's side.
    normalise : str
        How pixels become its input; see the weight card.
    copies : {1, 8}
        Views whose mean is its answer; see the weight card.
    temperature : float
        By which logits are divided; that of the weight card gives calibrated probabilities.

    Returns
    -------
    ndarray
        In the order of the weight card's classes.

    Raises
    ------
    WeightsError
        If there is no such way to normalise.
    ImageError
        If the picture is of another shape or type.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.morphology.explain import probabilities_of
    >>> from astrogalaxy.morphology.network import NetworkSpec, build
    >>> network = build(NetworkSpec("average-pool-cnn", classes=2, side=32))
    >>> probability = probabilities_of(network, np.zeros((32, 32, 3), np.uint8), normalise="unit")
    >>> probability.shape, round(float(probability.sum()), 3)
    ((2,), 1.0)
    """
    turned = np.concatenate(views(checked_pictures([picture], network.spec.side), copies))
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(network_input(turned, normalise)))
        said = (logits / temperature).softmax(dim=1)
    return np.asarray(said.mean(dim=0).numpy())


def _class(network: GalaxyNetwork, target: int) -> int:
    """A class's number, if the network has it."""
    if not isinstance(target, int | np.integer) or not 0 <= target < network.spec.classes:
        msg = f"target: there is no class {target!r}; give its number, from 0 to {network.spec.classes - 1}"
        raise WeightsError(msg)
    return int(target)


def _saliency(network: GalaxyNetwork, x: Tensor, target: int) -> Floats:
    """How much each pixel would change the class's logit (Simonyan et al. 2014), the strongest channel."""
    need("captum", "train")
    from captum.attr import Saliency

    gradient = Saliency(network).attribute(x.clone().requires_grad_(), target=target)
    return _scaled(gradient.abs().amax(1)[0])


def _grad_cam(network: GalaxyNetwork, x: Tensor, target: int) -> Floats:
    """Where the last feature layer is evidence for the class (Selvaraju et al. 2017)."""
    need("captum", "train")
    from captum.attr import LayerGradCam

    layer, gives_tokens = _last_layer(network, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of captum about hooks
        weight = _cam_of_tokens(network, x, target, layer) if gives_tokens else None
        if weight is None:
            weight = LayerGradCam(network, layer).attribute(x.clone(), target=target, relu_attributions=True)[0, 0]
    return _scaled(_enlarged(weight.detach(), x.shape[-1]))


def _attention_map(network: GalaxyNetwork, x: Tensor, _target: int) -> Floats:
    """Where the class token of a transformer's last block looks, the mean over its heads."""
    attention = network.backbone.blocks[-1].attn  # type: ignore[union-attr,index]
    kept: list[Tensor] = []
    hook = attention.register_forward_hook(lambda _module, inputs, _output: kept.append(inputs[0]))
    try:
        with torch.no_grad():
            network(x)
    finally:
        hook.remove()
    tokens = kept[0]
    n, length, width = tokens.shape
    with torch.no_grad():
        qkv = attention.qkv(tokens).reshape(n, length, 3, attention.num_heads, width // attention.num_heads)
        query, key, _ = qkv.permute(2, 0, 3, 1, 4)
        share = (attention.q_norm(query) @ attention.k_norm(key).transpose(-2, -1) * attention.scale).softmax(-1)
    prefix = int(getattr(network.backbone, "num_prefix_tokens", 1))
    row = share[0, :, 0, prefix:].mean(0)
    side = round(len(row) ** 0.5)
    return _scaled(_enlarged(row.reshape(side, side), x.shape[-1]))


def figure_of(
    picture: Picture, maps: dict[str, Floats], *, title: str = "", origin: Literal["upper", "lower"] = "upper"
) -> Figure:
    """A figure of a picture with its maps laid over it.

    Parameters
    ----------
    picture : ndarray
        ``(side, side, 3)`` uint8.
    maps : dict of str to ndarray
        See `explain`.
    title : str
        Above the picture.
    origin : {'upper', 'lower'}
        Where row 0 is shown: FITS images have it at the bottom.

    Returns
    -------
    matplotlib.figure.Figure
        With the picture first, and a part for each map.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.morphology.explain import figure_of
    >>> picture, saliency = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.float32)
    >>> len(figure_of(picture, {"saliency": saliency}, title="a galaxy").axes)
    2
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * (1 + len(maps)), 2.7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    axes[0].imshow(picture, origin=origin)
    axes[0].set_title(title, fontsize=8)
    for place, (name, values) in zip(axes[1:], maps.items(), strict=True):
        place.imshow(picture.mean(axis=2), cmap="gray", origin=origin)
        place.imshow(values, cmap="inferno", alpha=0.55, vmin=0, vmax=1, origin=origin)
        # Grad-CAM is cut at 0: for a class that the picture speaks against, often nothing is left
        blank = "" if values.any() else "\nblank: no place speaks for the class"
        place.set_title(f"{name}{blank}", fontsize=8)
    for place in axes:
        place.set_axis_off()
    return figure


def _has_class_token(network: GalaxyNetwork) -> bool:
    backbone = network.backbone
    return getattr(backbone, "cls_token", None) is not None and hasattr(backbone, "blocks")


def _last_layer(network: GalaxyNetwork, x: Tensor) -> tuple[nn.Module, bool]:
    """The last feature layer whose map has more than a pixel or two, and whether the map is one of tokens."""
    layers = feature_layers(network.backbone)
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def hook(layer: nn.Module, _inputs: object, out: object) -> None:
        """Keep the shape of what the layer gives."""
        shapes[layer] = tuple(out.shape) if isinstance(out, Tensor) else ()

    hooks = [layer.register_forward_hook(hook) for layer in layers]
    try:
        with torch.no_grad():
            network(x)
    finally:
        for handle in hooks:
            handle.remove()
    good = [layer for layer in layers if _places(shapes.get(layer, ())) >= 4]
    last = good[-1] if good else layers[-1]
    return last, len(shapes.get(last, ())) == 3


def _places(shape: tuple[int, ...]) -> int:
    """Tokens, or pixels, of a map; 0 of what is none."""
    return shape[1] if len(shape) == 3 else shape[2] * shape[3] if len(shape) == 4 else 0


def _cam_of_tokens(network: GalaxyNetwork, x: Tensor, target: int, layer: nn.Module) -> Tensor | None:
    """Grad-CAM over the tokens of a transformer's patches.

    Taken at the input of the block: where a network's head uses the class token alone, the patches that the last block
    gives have no gradient.
    """
    kept: list[Tensor] = []

    def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Keep the tokens, and the gradient that they will have."""
        inputs[0].retain_grad()
        kept.append(inputs[0])

    handle = layer.register_forward_pre_hook(hook)
    try:
        network.zero_grad()
        with torch.enable_grad():
            network(x.clone().requires_grad_())[0, target].backward()
    finally:
        handle.remove()
    tokens, gradient = kept[0], kept[0].grad
    network.zero_grad()
    if gradient is None:
        return None
    prefix = int(getattr(network.backbone, "num_prefix_tokens", 0))
    weight = gradient[0, prefix:].mean(0)
    strength = torch.relu((tokens[0, prefix:] * weight).sum(-1))
    side = round(len(strength) ** 0.5)
    return strength.reshape(side, side) if side**2 == len(strength) else None


def _enlarged(values: Tensor, side: int) -> Tensor:
    return functional.interpolate(values[None, None], size=(side, side), mode="bilinear", align_corners=False)[0, 0]


def _scaled(values: Tensor) -> Floats:
    values = values.detach() - values.detach().min()
    return np.asarray((values / values.max().clamp(min=1e-12)).cpu().numpy(), np.float32)
