"""Labels of real images: their positions and classes, doubts about them, and which are held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sep
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.detection.significance import significance
from astrogalaxy.errors import ConfigError
from astrogalaxy.evaluation.matching import repeated
from astrogalaxy.evaluation.truth import read_truth
from astrogalaxy.gaussian import FWHM_PER_SIGMA
from astrogalaxy.images import Image, Section
from astrogalaxy.images.seeing import FWHM
from astrogalaxy.images.sky import to_pixel, to_sky
from astrogalaxy.tables import spans

__all__ = ["SEEN_SNR", "LabelCounts", "apart", "count_labels", "label_bounds", "parted", "read_labels"]

#: Least signal to noise of a label that is asked for: fainter ones may come from other bands, or be artefacts there.
SEEN_SNR = 3.0
# Rows between what trains and what is held out of a labelled field.
_GAP = 32
# Fewer labels than these teach little.
_FEW = 50
# Least number, and least signal to noise, of the labels that tell whether all are offset from the light; and the least
# offset that is warned of, pixels.
_TELLING, _BRIGHT_SNR, _SHIFTED = 10, 20.0, 0.5
# Labels within so many pixels are of one source.
_SAME = 0.5
# FWHM of stars in pixels, where it is not known.
_FWHM = 3.5


@dataclass(frozen=True)
class LabelCounts:
    """Counts of the labels of an image.

    Attributes
    ----------
    stars, galaxies, unknown : int
        Of those on the image.
    off, nowhere : int
        Off the image, and without a position.
    held : int
        Of those on the image, how many are kept apart for validation.
    dark : int
        Of those on the image, how many lie where it shows no light.
    twice : int
        Of those on the image, how many lie where another one does.
    shift : (float, float)
        Median offset of the light from the bright labels, pixels in x and y; 0 where these are few.

    Examples
    --------
    >>> from astrogalaxy.training.labels import LabelCounts
    >>> counts = LabelCounts(stars=80, galaxies=170, unknown=4, off=3, held=30)
    >>> print(counts)
    257 labels: 80 stars, 170 galaxies, 4 of no class, 3 off the image; 30 are kept apart for validation
    >>> counts.doubts
    []
    """

    stars: int = 0
    galaxies: int = 0
    unknown: int = 0
    off: int = 0
    nowhere: int = 0
    held: int = 0
    dark: int = 0
    twice: int = 0
    shift: tuple[float, float] = (0.0, 0.0)

    def __str__(self) -> str:
        """One sentence."""
        kinds = {
            "stars": self.stars,
            "galaxies": self.galaxies,
            "of no class": self.unknown,
            "off the image": self.off,
            "without a position": self.nowhere,
        }
        # that there are no stars or no galaxies is worth saying
        counts = [f"{n} {kind}" for kind, n in kinds.items() if n or kind in {"stars", "galaxies"}]
        held = f"; {self.held} are kept apart for validation" if self.held else ""
        return f"{sum(kinds.values())} labels: {', '.join(counts)}{held}"

    @property
    def doubts(self) -> list[str]:
        """What a training on them will lack, in sentences."""
        doubts = []
        known = self.stars + self.galaxies
        if known < _FEW:
            doubts.append(f"only {known} labels on the image are stars or galaxies; fewer than {_FEW} teach little")
        doubts += [
            f"none of the labels on the image is a {kind}; how to know one is learnt from simulations alone"
            for kind, n in (("star", self.stars), ("galaxy", self.galaxies))
            if not n
        ]
        if self.twice:
            doubts.append(f"{self.twice} labels lie where another one does; give one for each source")
        on = known + self.unknown
        if self.dark > on / 2:
            doubts.append(
                f"{self.dark} of {on} labels lie where there is no light, and teach nothing; look whether they are "
                "far deeper than it, or their positions shifted, swapped or in other units (x, y: 0-based pixels; ra, "
                "dec: degrees)"
            )
        elif np.hypot(*self.shift) > _SHIFTED:
            dx, dy = self.shift
            doubts.append(
                f"the light lies {dx:+.1f}, {dy:+.1f} pixels (x, y) beside the labels, by the median of bright ones "
                "(pixels are counted from 0 at the first one's centre)"
            )
        return doubts


def count_labels(path: str, image: Image, *, holdout: float = 0.0) -> LabelCounts:
    """Count the labels of an image.

    Parameters
    ----------
    path : str
        See `read_labels`.
    image : Image
        What they are of.
    holdout : float
        Share of the rows that is kept out of training.

    Returns
    -------
    LabelCounts
        By class and place.

    Raises
    ------
    ConfigError
        See `read_labels`.
    """
    labels = _placed(path, image)
    on = _within(labels, path, image)
    nowhere = int((~np.isfinite(labels["x"]) | ~np.isfinite(labels["y"])).sum())
    region = label_bounds(on).clip(image.shape)
    held = parted(region, holdout, held=True).contains(on["x"], on["y"])
    stars, galaxies, unknown = (int((on["class"] == name).sum()) for name in ("star", "galaxy", ""))
    image.register()
    snr, x, y = image.aligned(region).snr, on["x"] - region.x0, on["y"] - region.y0
    light = significance(snr, x, y)
    bright, fwhm = light > _BRIGHT_SNR, FWHM * image.bands[image.reference].seeing
    shift = _shift(snr.sum(axis=0), x[bright], y[bright], fwhm if np.isfinite(fwhm) else _FWHM)
    dark, off = int((light < SEEN_SNR).sum()), len(labels) - len(on) - nowhere
    twice = repeated(np.column_stack([x, y]), _SAME)
    return LabelCounts(stars, galaxies, unknown, off, nowhere, int(held.sum()), dark, twice, shift)


def _shift(light: NDArray[np.float32], x: ArrayLike, y: ArrayLike, fwhm: float) -> tuple[float, float]:
    """Median offset of the centroids of light from positions nearby; 0 for a few positions."""
    x, y = (np.ascontiguousarray(part, dtype=float) for part in (x, y))
    if len(x) < _TELLING:
        return 0.0, 0.0
    x_light, y_light, _ = sep.winpos(np.ascontiguousarray(light), x, y, fwhm / FWHM_PER_SIGMA)
    return float(np.median(x_light - x)), float(np.median(y_light - y))


def read_labels(
    path: str, image: Image, split: str | None = None, part: str = "train", *, region: Section | None = None
) -> Table:
    """Read the labels of an image: ``x``, ``y`` (0-based pixels of the reference band) and ``class``.

    Parameters
    ----------
    path : str
        CSV, ECSV, FITS or VOTable; see `~astrogalaxy.evaluation.truth.read_truth`. Positions may be ``x`` and ``y``, or
        ``ra`` and ``dec``, which the image's WCS turns into pixels.
    image : Image
        What the labels are of; those that lie off it, or have no position, are left out.
    split : str, optional
        CSV with ``row`` (of the label file, from 0) and ``part``.
    part : str
        Part of the split to keep.
    region : Section, optional
        Part of the image; labels off it are left out, too.

    Returns
    -------
    Table
        Those that lie on the image and in the region.

    Raises
    ------
    ConfigError
        If a file or a column is missing, no label is a star or a galaxy, the image has no WCS for the labels' sky
        positions, or none of them lies on it.
    """
    return _within(_placed(path, image, split, part), path, image, region)


def _placed(path: str, image: Image, split: str | None = None, part: str = "train") -> Table:
    """All labels, with their pixels."""
    labels = read_truth(path, split=split, part=part, classes=True)
    if "x" not in labels.colnames:
        if image.wcs is None:
            msg = f"{path}: its positions are ra and dec, but {image.name or 'the image'} has no WCS; give x and y"
            raise ConfigError(msg)
        labels["x"], labels["y"] = to_pixel(image.wcs, np.asarray(labels["ra"]), np.asarray(labels["dec"]))
    return labels


def _within(labels: Table, path: str, image: Image, region: Section | None = None) -> Table:
    """Those on the image, and in a region of it."""
    part = Section.whole(image.shape) if region is None else region.clip(image.shape)
    inside = part.contains(labels["x"], labels["y"])
    if not inside.any():
        corners = {"x": [part.x0, part.x1 - 1], "y": [part.y0, part.y1 - 1]}
        if "ra" in labels.colnames and image.wcs is not None:
            corners["ra"], corners["dec"] = to_sky(image.wcs, np.array(corners["x"]), np.array(corners["y"]))
        given = spans(**{name: labels[name] for name in corners})
        place = f"{'on' if region is None else 'in data.labels[].region of'} {image.name or 'the image'}"
        msg = f"{path}: none of its {len(labels)} labels lies {place}: {given}; that is {spans(**corners)}"
        raise ConfigError(msg)
    return labels[inside]


def label_bounds(labels: Table) -> Section:
    """Smallest section that holds all labels."""
    x, y = (np.floor(np.asarray(labels[axis]) + 0.5).astype(int) for axis in ("x", "y"))
    return Section(int(x.min()), int(x.max()) + 1, int(y.min()), int(y.max()) + 1)


def parted(region: Section, holdout: float, *, held: bool) -> Section:
    """The rows of a region that train, or those above that are held out; a gap lies between the two."""
    rows = region.y1 - region.y0
    first = region.y1 - round(holdout * rows)
    # neighbours share light and sky
    gap = min(_GAP, (first - region.y0) // 4)
    return region._replace(y0=first) if held else region._replace(y1=first - gap)


def apart(image: Section, region: Section, holdout: float) -> Section:
    """Rows of an image away from what is held out of a region of it: those below or those above, whichever are more."""
    held, trains = (parted(region, holdout, held=held) for held in (True, False))
    gap = held.y0 - trains.y1
    below, above = image._replace(y1=min(trains.y1, image.y1)), image._replace(y0=max(held.y1 + gap, image.y0))
    return max(below, above, key=lambda part: part.size)
