"""EFIGI: 4,458 nearby galaxies with detailed morphologies by experts (Baillard et al. 2011)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from astrogalaxy.datasets.cutouts import LabelledCutouts
from astrogalaxy.datasets.pictures import CUTOUTS, PictureFiles
from astrogalaxy.errors import ImageError

__all__ = ["CLASSES", "WHERE", "class_of_type", "read_efigi", "read_types"]

#: Where table and images are to be had.
WHERE = "https://www.astromatic.net/projects/efigi (EFIGI_attributes.txt and the PNG images)"
#: The four classes of the AstroVision paper.
CLASSES = ("elliptical", "lenticular", "spiral", "irregular")
_TABLE = "EFIGI_attributes.txt"
# First and last EFIGI type of each class. EFIGI's types are the RC2's, with 11 for dwarf spheroidals (dE): cE, E, cD
# are -6 to -4; S0-, S0, S0+ are -3 to -1; S0/a to Sm are 0 to 9; Im is 10.
_TYPES = {"elliptical": (-6, -4), "lenticular": (-3, -1), "spiral": (0, 9), "irregular": (10, 10)}


def class_of_type(t: int) -> str | None:
    """Class of an EFIGI type.

    Parameters
    ----------
    t : int
        -6 to -4 are ellipticals, -3 to -1 lenticulars, 0 (S0/a) to 9 (Sm) spirals, 10 irregulars.

    Returns
    -------
    str or None
        One of `CLASSES`; None for 11, the dwarf ellipticals, which belong to none of the four.

    Examples
    --------
    >>> [class_of_type(t) for t in (-5, -2, 0, 9, 10, 11)]
    ['elliptical', 'lenticular', 'spiral', 'spiral', 'irregular', None]
    """
    return next((name for name, (low, high) in _TYPES.items() if low <= t <= high), None)


def read_types(path: str | Path) -> dict[str, int]:
    r"""EFIGI type of each galaxy of the attribute table.

    Parameters
    ----------
    path : path
        ``EFIGI_attributes.txt`` (Baillard et al. 2011).

    Returns
    -------
    dict of str to int
        Types, from -6 to 11, by PGC names; see `class_of_type`.

    Raises
    ------
    ImageError
        If the table is missing or of another layout.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.datasets.efigi import read_types
    >>> _ = Path("EFIGI_attributes.txt").write_text("PGCname T\nPGC0000212 3\n", encoding="utf-8")
    >>> read_types("EFIGI_attributes.txt")
    {'PGC0000212': 3}
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such file; EFIGI is at {WHERE}"
        raise ImageError(msg)
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    rows = [line for line in lines if line and not line[0].startswith("#")]
    if not rows or rows[0][:2] != ["PGCname", "T"]:
        msg = f"{path}: not EFIGI's attribute table, whose columns begin with PGCname and T"
        raise ImageError(msg)
    try:
        return {row[0]: int(row[1]) for row in rows[1:]}
    except (ValueError, IndexError) as error:
        msg = f"{path}: a row has no type: {error}"
        raise ImageError(msg) from error


def read_efigi(folder: str | Path) -> LabelledCutouts:
    r"""Read EFIGI: the attribute table in a folder, and images named ``PGC0000212.png`` in it or below.

    Parameters
    ----------
    folder : path
        With ``EFIGI_attributes.txt`` (Baillard et al. 2011).

    Returns
    -------
    LabelledCutouts
        The galaxies of `CLASSES` that have an image.

    Raises
    ------
    ImageError
        If the table is missing, or there is no image of its galaxies.

    Examples
    --------
    >>> from pathlib import Path
    >>> from PIL import Image as Picture
    >>> from astrogalaxy.datasets.efigi import read_efigi
    >>> Path("efigi").mkdir()
    >>> _ = Path("efigi", "EFIGI_attributes.txt").write_text("PGCname T\nPGC0000212 3\n", encoding="utf-8")
    >>> Picture.new("RGB", (64, 64)).save("efigi/PGC0000212.png")
    >>> cutouts = read_efigi("efigi")
    >>> cutouts.names, cutouts.classes[cutouts.labels[0]], cutouts.read(0).shape
    (['PGC0000212'], 'spiral', (64, 64, 3))
    """
    folder = Path(folder)
    types = read_types(folder / _TABLE)
    images = {p.stem.split("_")[0]: p for p in sorted(folder.rglob("*")) if p.suffix.lower() in CUTOUTS}
    kinds = {name: class_of_type(t) for name, t in types.items() if name in images}
    names = [name for name, kind in kinds.items() if kind is not None]
    if not names:
        msg = f"{folder}: no image of a galaxy of {_TABLE} (PGC0000212.png, ...); EFIGI is at {WHERE}"
        raise ImageError(msg)
    labels = np.array([CLASSES.index(kind) for name in names if (kind := kinds[name])])
    shares = np.eye(len(CLASSES), dtype=np.float32)[labels]
    pictures = PictureFiles([images[name] for name in names])
    source = f"{len(names)} cutouts of EFIGI (Baillard et al. 2011)"
    return LabelledCutouts(names, CLASSES, shares, pictures, source, files=pictures.paths)
