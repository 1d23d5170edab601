"""What the papers report, for the tables that show our numbers beside theirs."""

from __future__ import annotations

from dataclasses import dataclass

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
        Share of galaxies whose class, smooth or disk, is right.
    """

    paper: str
    method: str
    map_50_90: float | None = None
    accuracy: float | None = None


_ASTROYOLO = "Khujaev, Tsoy & Baek (2023), AstroYOLO, table 1"

#: Rows by the key that a recipe's ``published`` names; ``astro-rcnn`` is of no recipe.
PUBLISHED = {
    "astro-rcnn": Published(_ASTROYOLO, "Astro R-CNN", 0.49),
    "astroyolo-stargalaxy": Published(_ASTROYOLO, "YOLOX (only star vs. galaxy)", 0.657),
    "astroyolo-morphology": Published(_ASTROYOLO, "YOLOX (only smooth vs. disk)", None, 0.768),
    "astroyolo-naive": Published(_ASTROYOLO, "Training (catastrophic forgetting)", 0.0, 0.607),
    "astroyolo-frozen": Published(_ASTROYOLO, "Iterative training (frozen backbone)", 0.606, 0.595),
    "astroyolo-unfrozen": Published(_ASTROYOLO, "Iterative training (unfrozen backbone)", 0.656, 0.772),
}
