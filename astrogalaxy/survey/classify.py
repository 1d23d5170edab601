"""Classify files that hold one galaxy each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from astropy.table import MaskedColumn, Table
from numpy.typing import NDArray

from astrogalaxy.catalog import check_classes, class_column
from astrogalaxy.datasets.galaxyzoo import central_light
from astrogalaxy.datasets.pictures import PICTURES, bands_in_noise, read_cutout
from astrogalaxy.detection import Runtime
from astrogalaxy.detection.single import disk_probability
from astrogalaxy.errors import AstrogalaxyError, ConfigError
from astrogalaxy.models import ClassifierCard
from astrogalaxy.morphology import Classifier
from astrogalaxy.morphology.framing import is_square, measured_frame, warn_of_oblong
from astrogalaxy.morphology.pictures import resized

__all__ = ["Frame", "classify_files"]

logger = logging.getLogger(__name__)

#: How much of a cutout a classifier looks at: as it was learned, or as the galaxy's measured size says.
Frame = Literal["given", "measured"]

# Side in pixels of a picture whose middle the detector looks at, the share of the middle, and the signal to noise that
# its brightest pixel is given (that of its tests, see astrogalaxy.training.galaxies).
_SIDE, _CENTRE, _PEAK = 96, 0.5, 100.0
# Measured frames over the wanted one, beyond which the median of the cutouts is warned of.
_NARROW, _WIDE = 0.65, 1.35
# Cutouts that are kept in memory and go through the classifier together, which takes less time than one by one.
_BATCH = 64


def classify_files(
    paths: str | Path | Sequence[str | Path],
    *,
    classifier: Classifier | None = None,
    detector: Runtime | None = None,
    frame: Frame = "given",
) -> Table:
    """Classify cutouts with one galaxy in the middle of each.

    Parameters
    ----------
    paths : path, or sequence of path
        JPEG, PNG or FITS; see `~astrogalaxy.datasets.pictures.read_picture`.
    classifier : Classifier, optional
        Gives ``p_<class>`` for each of its classes.
    detector : Runtime, optional
        Gives ``p_smooth`` and ``p_disk`` by its own head, where the classifier does not.
    frame : {'given', 'measured'}
        ``given``: the cutouts are as many half-light radii of their galaxies wide as those that the classifier learned
        from, 19.5 for ``galaxyzoo-fine``; where they look far from that, it is logged. ``measured``: each is scaled by
        the half-light radius of its galaxy, as in a survey, but as measured in the picture.

    Returns
    -------
    Table
        A row for each file: ``file``, the probabilities, ``class`` (the most probable one of the classifier, or of
        smooth and disk; empty where the detector sees no galaxy) and ``error``. Probabilities are masked where there
        are none, as where a file could not be read.

    Raises
    ------
    ConfigError
        If there is neither a classifier nor a detector, or `frame` is something else.
    CatalogError
        If two classes of the classifier would share a column.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.morphology import open_classifier
    >>> from astrogalaxy.survey.classify import classify_files
    >>> away = np.hypot(*(np.mgrid[:128, :128] - 63.5))
    >>> light = (200 * np.exp(-away / 12)).astype(np.uint8)
    >>> Picture.fromarray(np.dstack([light] * 3)).save("round.png")
    >>> table = classify_files(["round.png", "nowhere.png"], classifier=open_classifier("galaxyzoo-fine"))
    >>> str(table["class"][0]).startswith("smooth"), "nowhere.png" in table["error"][1]
    (True, True)
    """
    if classifier is None and detector is None:
        msg = "nothing classifies: give a classifier or a detector, or both"
        raise ConfigError(msg)
    if frame not in get_args(Frame):
        msg = f"frame must be one of {', '.join(get_args(Frame))}, not {frame!r}"
        raise ConfigError(msg)
    if classifier:
        check_classes(classifier.classes)
    files = list(map(Path, [paths] if isinstance(paths, str | Path) else paths))
    rows: list[dict[str, object]] = []
    for start in range(0, len(files), _BATCH):
        looked = [_look(path, classifier, detector, frame) for path in files[start : start + _BATCH]]
        rows += [row for row, _ in looked]
        if classifier:
            _classify([(row, picture) for row, picture in looked if picture is not None], classifier)
    if classifier and frame == "given":
        squares = [bool(row["square"]) for row in rows if "square" in row]
        warn_of_oblong(squares.count(False), len(squares))
        _check_frames(np.array([row.get("frame", np.nan) for row in rows], dtype=float), classifier.card)
    names = ["p_smooth", "p_disk"] if detector else []
    names += [class_column(name) for name in classifier.classes] if classifier else []
    table = Table({"file": [str(row["file"]) for row in rows]})
    for name in dict.fromkeys(names):
        values = np.array([row.get(name, np.nan) for row in rows], dtype=np.float32)
        table[name] = MaskedColumn(values, mask=~np.isfinite(values), description=f"probability of {name[2:]}")
    table["class"] = [str(row["class"]) for row in rows]
    table["error"] = [str(row["error"]) for row in rows]
    return table


def _check_frames(frames: NDArray[np.float64], card: ClassifierCard) -> None:
    """Warn of cutouts that show much more or less around their galaxies than those that were learned from."""
    wanted = card.field_of_view / card.centre
    seen = float(np.median(frames[np.isfinite(frames)])) if np.isfinite(frames).any() else wanted
    if not _NARROW * wanted < seen < _WIDE * wanted:
        logger.warning(
            "the cutouts look about %.0f half-light radii of their galaxies wide (less than they are, where neighbours "
            "touch them); %s learned from %.1f, and is often wrong at other scales: if so, cut them anew, or have them "
            "scaled with frame measured",
            seen, card.name, wanted,
        )  # fmt: skip


def _look(
    path: Path, classifier: Classifier | None, detector: Runtime | None, frame: Frame
) -> tuple[dict[str, object], NDArray[np.uint8] | None]:
    """The row of one file, and the picture that the classifier is to see; None if it cannot be read."""
    row: dict[str, object] = {"file": str(path), "class": "", "error": ""}
    try:
        picture = read_cutout(path)
        p_disk = float("nan") if detector is None else _smooth_or_disk(path, picture, detector)
    except AstrogalaxyError as error:
        return row | {"error": str(error)}, None
    likely = "" if np.isnan(p_disk) else "disk" if p_disk > 0.5 else "smooth"
    row |= {"p_smooth": 1 - p_disk, "p_disk": p_disk, "class": likely}
    if classifier is None:
        return row, None
    card, seen = classifier.card, measured_frame(picture)
    row |= {"frame": seen, "square": is_square(picture)}
    scaled = frame == "measured" and np.isfinite(seen)
    return row, resized(picture, card.side, centre=card.field_of_view / seen if scaled else card.centre)


def _classify(looked: list[tuple[dict[str, object], NDArray[np.uint8]]], classifier: Classifier) -> None:
    """Add the classifier's probabilities, and the most probable class, to rows."""
    if not looked:
        return
    classes = classifier.card.classes
    for (row, _), p in zip(looked, classifier([picture for _, picture in looked]), strict=True):
        row |= {class_column(name): value for name, value in zip(classes, p, strict=True)}
        row["class"] = classes[int(p.argmax())]


def _smooth_or_disk(path: Path, picture: NDArray[np.uint8], detector: Runtime) -> float:
    """Probability of a disk by the detector's head; NaN where it sees no galaxy."""
    if path.suffix.lower() in PICTURES:
        light, _ = central_light(picture, side=_SIDE, centre=_CENTRE)
        noise = np.random.default_rng(0).standard_normal(light.shape, dtype=np.float32)
        snr = _PEAK * light + noise
    else:
        snr = bands_in_noise(path)
    return disk_probability(detector, snr)
