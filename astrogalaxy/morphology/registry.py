"""The classifiers that a recipe may name: most of them are timm's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from astrogalaxy.config.problems import did_you_mean
from astrogalaxy.errors import ConfigError, need

__all__ = ["ARCHITECTURES", "Architecture", "architecture", "input_size"]


@dataclass(frozen=True)
class Architecture:
    """How a named architecture is made.

    Attributes
    ----------
    timm : str
        Name in timm; empty where the network is our own.
    own : str
        Name of the function in `astrogalaxy.morphology.backbones` that builds it.
    options : dict
        Arguments that it always gets.
    fixed : bool
        Whether the side of the image is part of the network (positions of its patches).
    paper : str
        What the paper that it is of calls it.

    Examples
    --------
    >>> from astrogalaxy.morphology.registry import architecture
    >>> made = architecture("vit-small")
    >>> made.timm, made.fixed
    ('vit_small_patch16_224', True)
    """

    timm: str = ""
    own: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    fixed: bool = False
    paper: str = ""


#: By the names that ``model.architecture`` takes.
ARCHITECTURES = {
    "average-pool-cnn": Architecture(own="average_pool_cnn", paper="custom architecture (Alberghi et al. 2024)"),
    "densenet121": Architecture("densenet121", paper="DenseNet121"),
    "dino-vit-small": Architecture("vit_small_patch16_224.dino", fixed=True, paper="DINO ViT-S/16"),
    "efficientnet-lite0": Architecture("tf_efficientnet_lite0", paper="EfficientNet-Lite0"),
    "efficientnetv2-s": Architecture("tf_efficientnetv2_s", own="efficientnetv2_s", paper="EfficientNetV2-S"),
    "hiera-base": Architecture("hiera_base_224", fixed=True, paper="Hiera"),
    "hiera-tiny": Architecture("hiera_tiny_224", fixed=True, paper="Hiera"),
    "inception-resnet-v2": Architecture("inception_resnet_v2", paper="Inception-ResNet"),
    "mobilenet": Architecture("mobilenetv1_100", paper="MobileNet"),
    "mobilenetv2": Architecture("mobilenetv2_100", paper="MobileNetV2"),
    "mobilenetv2-140": Architecture("mobilenetv2_140", paper="MobileNetV2 (1.4)"),
    "mobilenetv3-large": Architecture("mobilenetv3_large_100", paper="MobileNetV3-Large"),
    "mobilenetv3-small": Architecture("mobilenetv3_small_100", paper="MobileNetV3-Small"),
    "mobilevit-s": Architecture("mobilevit_s", paper="MobileViT-S"),
    "resnet50": Architecture("resnet50", paper="ResNet50"),
    "resnet50v2": Architecture("resnetv2_50", paper="ResNet50V2"),
    "resnet152v2": Architecture("resnetv2_152", paper="ResNet152V2"),
    "vgg11": Architecture("vgg11", paper="VGG11"),
    "vgg11-32": Architecture(own="vgg11_32", paper="VGG11 with 32 channels"),
    "vgg16": Architecture("vgg16", paper="VGG-16"),
    "vit-base": Architecture("vit_base_patch16_224", fixed=True, paper="ViT"),
    "vit-small": Architecture("vit_small_patch16_224", fixed=True, paper="ViT"),
    "vit-tiny": Architecture("vit_tiny_patch16_224", fixed=True, paper="ViT"),
}

_TIMM = "timm:"


def architecture(name: str) -> Architecture:
    """Look an architecture up.

    Parameters
    ----------
    name : str
        A key of `ARCHITECTURES`, or ``timm:`` and the name of any model of timm.

    Returns
    -------
    Architecture
        How it is made.

    Raises
    ------
    ConfigError
        If there is none of that name.

    Examples
    --------
    >>> architecture("resnet50v2").timm, architecture("timm:resnet18").timm
    ('resnetv2_50', 'resnet18')
    """
    if name.startswith(_TIMM):
        return Architecture(name.removeprefix(_TIMM), fixed=_is_fixed(name.removeprefix(_TIMM)))
    if name not in ARCHITECTURES:
        hint = did_you_mean(name, list(ARCHITECTURES)) or f"; there are {', '.join(ARCHITECTURES)}"
        msg = f"model.architecture: there is no {name!r}{hint}; a model of timm is written {_TIMM}{name}"
        raise ConfigError(msg)
    return ARCHITECTURES[name]


def _is_fixed(name: str) -> bool:
    """Whether timm makes a network for one size of image; false where it has no such network."""
    need("timm", "train")
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    return config is not None and config.fixed_input_size


def input_size(found: Architecture, side: int) -> dict[str, Any]:
    """What timm is to be told of the size of images: nothing, where a network takes any."""
    return {"img_size": (side, side)} if found.fixed else {}
