"""Galaxy10 DECaLS: 17,736 colour images of 256 × 256 pixels in ten classes, one HDF5 file (Leung & Bovy 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.datasets.cutouts import LabelledCutouts
from astrogalaxy.datasets.votes import GALAXY10
from astrogalaxy.errors import ImageError, RunError, need
from astrogalaxy.files import atomic_path

__all__ = ["WHERE", "read_galaxy10", "unpack"]

#: Where the file is to be had.
WHERE = "https://zenodo.org/records/10845026 (Galaxy10_DECals.h5, 2.7 GB)"
# Arrays of the file.
_IMAGES, _ANSWERS = "images", "ans"


@dataclass(frozen=True)
class _Images:
    """Reads one image at a time; opens the file anew each time, so that it can be sent to another process."""

    path: Path

    def __call__(self, index: int) -> NDArray[np.uint8]:
        import h5py

        try:
            with h5py.File(self.path) as file:
                return np.asarray(file[_IMAGES][index], np.uint8)
        except (OSError, KeyError) as error:
            msg = f"{self.path}: image {index} cannot be read: {error}"
            raise ImageError(msg) from error


def read_galaxy10(path: str | Path) -> LabelledCutouts:
    """Open the HDF5 file of Galaxy10 DECaLS; images stay on the disk until they are asked for.

    Images of the same place on the sky, to 0.1 arcsec, are one galaxy, where the file has ``ra`` and ``dec``.

    Parameters
    ----------
    path : path
        ``Galaxy10_DECals.h5``, with ``images`` and ``ans``.

    Returns
    -------
    LabelledCutouts
        With the ten classes of `~astrogalaxy.datasets.votes.GALAXY10` (Leung & Bovy 2019).

    Raises
    ------
    ImageError
        If the file is missing or of another layout.

    Examples
    --------
    >>> import h5py
    >>> import numpy as np
    >>> from astrogalaxy.datasets.galaxy10 import read_galaxy10
    >>> with h5py.File("some.h5", "w") as file:
    ...     file["images"], file["ans"] = np.zeros((2, 64, 64, 3), np.uint8), [2, 9]
    >>> cutouts = read_galaxy10("some.h5")
    >>> [cutouts.classes[label] for label in cutouts.labels]
    ['round-smooth', 'edge-on-with-bulge']
    """
    need("h5py", "train")
    import h5py

    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such file; Galaxy10 DECaLS is at {WHERE}"
        raise ImageError(msg)
    try:
        with h5py.File(path) as file:
            answers = np.asarray(file[_ANSWERS][:], int)
            shape = file[_IMAGES].shape
            place = [np.asarray(file[name][:]) for name in ("ra", "dec") if name in file]
    except (OSError, KeyError) as error:
        msg = f"{path}: not the file of Galaxy10 DECaLS (no {_IMAGES} and {_ANSWERS}): {error}"
        raise ImageError(msg) from error
    known = len(answers) > 0 and bool(((answers >= 0) & (answers < len(GALAXY10))).all())
    if not known or len(shape) != 4 or shape[3] != 3 or shape[0] != len(answers):
        msg = f"{path}: {_IMAGES} must be (n, ny, nx, 3) and {_ANSWERS} n numbers from 0 to 9, not {shape}"
        raise ImageError(msg)
    groups = [f"{a:.5f}{d:+.5f}" for a, d in zip(*place, strict=True)] if len(place) == 2 else ()
    return LabelledCutouts(
        [str(number) for number in range(len(answers))],
        GALAXY10,
        np.eye(len(GALAXY10), dtype=np.float32)[answers],
        _Images(path),
        f"{len(answers)} cutouts of Galaxy10 DECaLS (Leung & Bovy 2019)",
        groups,
        files=[path],
    )


def unpack(
    path: str | Path, folder: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, int]:
    """Write the images of Galaxy10 DECaLS as PNG files into class folders, one by one.

    Never more than one image is in memory. Files that are there already are kept, so an interrupted unpacking goes on.

    Parameters
    ----------
    path : path
        The HDF5 file.
    folder : path
        Where the class folders go.
    progress : callable, optional
        Called with (done, all).

    Returns
    -------
    dict of str to int
        Images by class.

    Raises
    ------
    ImageError
        If the file is missing or of another layout.
    RunError
        If a folder cannot be written.

    Examples
    --------
    >>> import h5py
    >>> import numpy as np
    >>> from astrogalaxy.datasets.galaxy10 import unpack
    >>> with h5py.File("packed.h5", "w") as file:
    ...     file["images"], file["ans"] = np.zeros((3, 64, 64, 3), np.uint8), [2, 9, 2]
    >>> unpack("packed.h5", "classes")["round-smooth"]
    2
    """
    from PIL import Image as Pillow

    cutouts, folder = read_galaxy10(path), Path(folder)
    counts = dict.fromkeys(cutouts.classes, 0)
    try:
        for name in cutouts.classes:
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: cannot be made: {error}"
        raise RunError(msg) from error
    for index, label in enumerate(cutouts.labels):
        name = cutouts.classes[label]
        counts[name] += 1
        target = folder / name / f"{cutouts.names[index]}.png"
        if not target.is_file():
            with atomic_path(target) as temporary:
                Pillow.fromarray(cutouts.read(index)).save(temporary)
        if progress:
            progress(index + 1, len(cutouts))
    return counts
