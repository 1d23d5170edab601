"""What the papers report, for the tables that show our numbers beside theirs."""

from __future__ import annotations

from dataclasses import dataclass

from astrogalaxy.config import ClassifierRecipe, RecipeConfig
from astrogalaxy.errors import ConfigError

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True)
class Published:
    """One row of a paper's table.

    Attributes
    ----------
    paper : str
        The paper.
    method : str
        Name of the row there.
    map_50_90 : float or None
        Mean average precision over overlaps from 0.50 to 0.90, from 0 to 1.
    accuracy : float or None
        Share of galaxies whose class is right: smooth or disk, or those of the paper's own set.
    auc : float or None
        Mean area under the ROC curve, one class against the rest.
    parameters : float or None
        Parameters in millions.
    milliseconds : float or None
        Per step.
    note : str
        What the number is, where it is not of a test set, or what the paper leaves open.

    Examples
    --------
    >>> from astrogalaxy.training.scores.published import PUBLISHED
    >>> PUBLISHED["astroyolo-unfrozen"].map_50_90, PUBLISHED["astroyolo-unfrozen"].accuracy
    (0.656, 0.772)
    """

    paper: str
    method: str
    map_50_90: float | None = None
    accuracy: float | None = None
    auc: float | None = None
    parameters: float | None = None
    milliseconds: float | None = None
    note: str = ""


_ASTROYOLO = "Khujaev, Tsoy & Baek (2023), AstroYOLO, table 1"

_MOBILEVIT = "Tan (2024), mobile vision transformer, table 3"
_CBAM = "Yan (2023), improved EfficientNetV2S"
_TRANSFER = "Alberghi et al. (2024), deep and transfer learning"
_ASTROVISION = "AstroVision, table 1"
# The paper's "top accuracy" is that of the training.
_TRAINING = "accuracy of the training images"
# Its table 1 is very near that of EfficientNetV2's authors for another network on ImageNet.
_FUSED = "resembles table 3 of Tan & Le (2021), which is of EfficientNet-B4 on ImageNet"

#: Rows by the key that a recipe's ``published`` names; ``astro-rcnn`` is of no recipe.
PUBLISHED = {
    "astro-rcnn": Published(_ASTROYOLO, "Astro R-CNN", 0.49),
    "astroyolo-stargalaxy": Published(_ASTROYOLO, "YOLOX (only star vs. galaxy)", 0.657),
    "astroyolo-morphology": Published(_ASTROYOLO, "YOLOX (only smooth vs. disk)", None, 0.768),
    "astroyolo-naive": Published(_ASTROYOLO, "Training (catastrophic forgetting)", 0.0, 0.607),
    "astroyolo-frozen": Published(_ASTROYOLO, "Iterative training (frozen backbone)", 0.606, 0.595),
    "astroyolo-unfrozen": Published(_ASTROYOLO, "Iterative training (unfrozen backbone)", 0.656, 0.772),
    "mobilevit-vit": Published(_MOBILEVIT, "ViT", None, 0.6643, None, 85.8, 765),
    "mobilevit-resnet50v2": Published(_MOBILEVIT, "ResNet50V2", None, 0.6226, None, 24.6, 59),
    "mobilevit-densenet121": Published(_MOBILEVIT, "DenseNet121", None, 0.6449, None, 7.5, 63),
    "mobilevit-efficientnetv2s": Published(
        _MOBILEVIT, "EfficientNetV2-S + self-attention", None, 0.8816, None, 21.0, 1000
    ),
    "mobilevit-mobilenet": Published(_MOBILEVIT, "MobileNet", None, 0.8109, None, 3.7, 29),
    "mobilevit-mobilenetv2": Published(_MOBILEVIT, "MobileNetV2", None, 0.7974, None, 2.9, 35),
    "mobilevit-mobilenetv3": Published(_MOBILEVIT, "MobileNetV3-Large", None, 0.1418, None, 3.5, 34),
    "mobilevit-mobilevit": Published(_MOBILEVIT, "MobileViT-S", None, 0.8712, None, 4.9, 45),
    "cbam-mobilenetv2": Published(_CBAM, "MobileNetV2", None, 0.784, None, 6.9, None, _TRAINING),
    "cbam-resnet50": Published(_CBAM, "ResNet50", None, 0.909, None, 25.6, None, _TRAINING),
    "cbam-vgg16": Published(_CBAM, "VGG-16", None, 0.817, None, 138, None, _TRAINING),
    "cbam-inceptionresnet": Published(_CBAM, "Inception-ResNet", None, 0.657, None, 55.8, None, _TRAINING),
    "cbam-efficientnetv2s": Published(
        _CBAM, "EfficientNetV2-S + CBAM", None, 0.845, None, 20.6, None, "validation; training 94.3 %, precision 87 %"
    ),
    "cbam-fused0": Published(_CBAM, "no Fused-MBConv", None, 0.82, None, 19, None, _FUSED),
    "cbam-fused30": Published(_CBAM, "Fused-MBConv 30 %", None, 0.83, None, 20, None, _FUSED),
    "cbam-fused50": Published(_CBAM, "Fused-MBConv 50 %", None, 0.83, None, 43, None, _FUSED),
    "cbam-fused80": Published(_CBAM, "Fused-MBConv 80 %", None, 0.80, None, 148, None, _FUSED),
    "transfer-vgg-scratch": Published(_TRANSFER, "VGG11 from scratch", None, 0.73, 0.924),
    "transfer-vgg-deep": Published(_TRANSFER, "VGG11 deep tuning", None, 0.74, 0.924),
    "transfer-vgg-shallow": Published(_TRANSFER, "VGG11 shallow tuning", None, 0.58, 0.880),
    "transfer-custom": Published(_TRANSFER, "custom architecture", None, 0.76, 0.929),
    "transfer-dino": Published(_TRANSFER, "DINO + k-means", None, 0.16, 0.521),
    "transfer-dino-tuned": Published(_TRANSFER, "DINO + k-means, tuned", None, 0.16, 0.522),
    "astrovision-mobilenetv3": Published(_ASTROVISION, "MobileNetV3 (without distillation)", None, 0.83, None, 2.5),
    "astrovision-resnet152v2": Published(_ASTROVISION, "ResNet152V2", None, 0.84),
    "astrovision-vit": Published(_ASTROVISION, "Vision Transformer", None, 0.79),
    "astrovision-hiera": Published(_ASTROVISION, "Hiera Vision Transformer", None, 0.96),
    "astrovision-distilled": Published(_ASTROVISION, "MobileNetV3-small (distilled)", None, 0.94, None, 2.5),
}


def check_published(recipe: RecipeConfig | ClassifierRecipe) -> None:
    """Refuse a recipe that names a row that no table has."""
    if recipe.published is not None and recipe.published not in PUBLISHED:
        msg = f"{recipe.name}: published: {recipe.published!r} is not known; there are {', '.join(PUBLISHED)}"
        raise ConfigError(msg)
