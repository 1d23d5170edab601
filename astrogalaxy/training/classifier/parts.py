"""How many pictures of each class train, validate and test, and doubts about that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.datasets.splits import PARTS

__all__ = ["PartCounts", "copies_of_training"]

# Fewer pictures than these neither choose an epoch, nor calibrate, nor measure.
_FEW = 20
_USES = {"train": "it is not learned", "val": "it is not calibrated", "test": "it is not measured"}


@dataclass(frozen=True)
class PartCounts:
    """How many pictures of each class are in each part.

    Attributes
    ----------
    classes : sequence of str
        What is told apart.
    table : ndarray
        ``(n_classes, 3)`` pictures that train, validate and test.
    nowhere : int
        Pictures that are in no part.

    Examples
    --------
    >>> counts = PartCounts.of(np.array([0, 0, 0, 1]), np.array(["train", "val", "test", "train"]), ("round", "flat"))
    >>> print(counts)
    pictures that train, validate and test: round 1, 1, 1; flat 1, 0, 0
    >>> counts.doubts[0]
    'no picture of flat is in the part val: it is not calibrated'
    """

    classes: Sequence[str]
    table: NDArray[np.intp]
    nowhere: int = 0

    @classmethod
    def of(cls, labels: NDArray[np.intp], parts: NDArray[np.str_], classes: Sequence[str]) -> PartCounts:
        """Count class numbers and parts ``(n,)`` of pictures."""
        table = np.array([[((labels == i) & (parts == part)).sum() for part in PARTS] for i in range(len(classes))])
        return cls(classes, table, int((~np.isin(parts, PARTS)).sum()))

    def __str__(self) -> str:
        """One sentence."""
        rows = "; ".join(
            f"{name} {', '.join(map(str, row))}" for name, row in zip(self.classes, self.table, strict=True)
        )
        nowhere = f"; {self.nowhere} pictures are in no part" if self.nowhere else ""
        return f"pictures that train, validate and test: {rows}{nowhere}"

    @property
    def doubts(self) -> list[str]:
        """What a training on them will lack, in sentences."""
        missing = [
            f"no picture of {name} is in the part {part}: {_USES[part]}"
            for name, row in zip(self.classes, self.table, strict=True)
            for part, n in zip(PARTS, row, strict=True)
            if not n
        ]
        few = [
            f"only {n} pictures are in the part {part}; fewer than {_FEW} say little"
            for part, n in zip(PARTS, self.table.sum(axis=0), strict=True)
            if n < _FEW
        ]
        return missing + few


def copies_of_training(digests: NDArray[np.str_], parts: NDArray[np.str_]) -> dict[Literal["val", "test"], int]:
    """Count the pictures of the other parts that are copies of ones that train.

    Parameters
    ----------
    digests : ndarray
        ``(n,)`` hashes of the pictures.
    parts : ndarray
        ``(n,)`` their parts.

    Returns
    -------
    dict of str to int
        For ``val`` and ``test``.

    Examples
    --------
    >>> copies_of_training(np.array(["a", "b", "a"]), np.array(["train", "val", "test"]))
    {'val': 0, 'test': 1}
    """
    learned = digests[parts == "train"]
    return {part: int(np.isin(digests[parts == part], learned).sum()) for part in ("val", "test")}
