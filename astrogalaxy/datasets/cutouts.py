"""Labelled cutouts of galaxies, wherever they lie: pictures that are read one by one, and the share of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from astrogalaxy.morphology.pictures import FIELD_OF_VIEW

__all__ = ["LabelledCutouts"]

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledCutouts:
    """A labelled set; nothing is read before it is asked for.

    Attributes
    ----------
    names : sequence of str
        Identifiers.
    classes : tuple of str
        What is told apart.
    shares : ndarray
        ``(n, n_classes)`` float32: shares of the votes, each row with the sum 1; of hard labels 1 in one place.
    read : callable
        From an index to the picture ``(ny, nx, 3)`` uint8; raises ImageError.
    source : str
        What it is, for the weight card.
    groups : sequence of str
        Of what belongs to one galaxy and must not be parted; by default the names.
    files : sequence of Path
        All that the pictures are read from: while these stay as they are, so do the pictures.
    width : float
        Of the pictures, in half-light radii of their galaxies; NaN where it is not known, and can only be measured.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.datasets.cutouts import LabelledCutouts
    >>> pictures = np.zeros((3, 64, 64, 3), np.uint8)
    >>> shares = np.array([[1, 0], [0.2, 0.8], [0, 1]], np.float32)
    >>> cutouts = LabelledCutouts(["a", "b", "c"], ("smooth", "disk"), shares, pictures.__getitem__)
    >>> cutouts.labels.tolist(), cutouts.take(cutouts.labels == 1).names
    ([0, 1, 1], ['b', 'c'])
    """

    names: Sequence[str]
    classes: tuple[str, ...]
    shares: NDArray[np.float32]
    read: Callable[[int], Picture] = field(compare=False, repr=False)
    source: str = ""
    groups: Sequence[str] = ()
    files: Sequence[Path] = ()
    width: float = FIELD_OF_VIEW

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> NDArray[np.intp]:
        """Class with the largest share, by number."""
        return np.argmax(self.shares, axis=1)

    @property
    def group_names(self) -> Sequence[str]:
        """Group of each cutout."""
        return self.groups or self.names

    def take(self, rows: ArrayLike) -> LabelledCutouts:
        """Some of the cutouts, by index or mask."""
        chosen = np.arange(len(self))[np.asarray(rows)]
        return LabelledCutouts(
            [self.names[i] for i in chosen],
            self.classes,
            self.shares[chosen],
            _Rows(self.read, chosen),
            self.source,
            [self.groups[i] for i in chosen] if self.groups else (),
            self.files,
            self.width,
        )


@dataclass(frozen=True)
class _Rows:
    """Reads by the indices of a part; a class, so that it can be sent to another process."""

    read: Callable[[int], Picture]
    rows: NDArray[np.intp]

    def __call__(self, index: int) -> Picture:
        return self.read(int(self.rows[index]))
