"""Pictures of classified galaxies, the clearest of each class, for the report."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog, has_flags
from astrogalaxy.files import atomic_path
from astrogalaxy.survey.cutouts import CutoutClasses

__all__ = ["Gallery"]

logger = logging.getLogger(__name__)

_ARRAYS = ("pictures", "kinds", "probability", "alone")
# Pictures of each class that a tile keeps, and that the report shows.
_MOST = 8
# What is no galaxy by the network, or has these flags, is shown only where there are too few others.
_GALAXY = 0.5
_DISTURBED = ("edge", "saturated", "blended", "deblended")


@dataclass(frozen=True)
class Gallery:
    """The galaxies that are most probably of each class.

    Attributes
    ----------
    classes : tuple of str
        The classifier's.
    pictures : ndarray
        ``(n, side, side, 3)`` uint8.
    kinds : ndarray
        ``(n,)`` class of each, by number.
    probability : ndarray
        ``(n,)`` of that class.
    alone : ndarray of bool
        ``(n,)`` whether it is a galaxy without a flag that says that other light is in its picture, or some is missing:
        stars, halos and blends have classes, too, and sure ones. Others come after all of these.
    """

    classes: tuple[str, ...]
    pictures: NDArray[np.uint8]
    kinds: NDArray[np.intp]
    probability: NDArray[np.float64]
    alone: NDArray[np.bool_]

    @classmethod
    def of(cls, seen: CutoutClasses, classes: Sequence[str], catalog: SourceCatalog) -> Self:
        """The clearest galaxies of a tile, whose catalogue is given."""
        p = seen.probability
        p_galaxy, flags = (np.asarray(catalog[name])[seen.rows] for name in ("p_galaxy", "flags"))
        kinds = p.argmax(axis=1) if len(p) else np.zeros(0, dtype=np.intp)
        best = p.max(axis=1) if len(p) else np.zeros(0)
        alone = (p_galaxy >= _GALAXY) & ~has_flags(flags, *_DISTURBED)
        return cls(tuple(classes), seen.pictures, kinds, best, alone).clearest()

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self | None:
        """The clearest of several tiles, of which one is held at a time; None of none.

        Tiles of another classifier than the first one's are left out.
        """
        best: Self | None = None
        for part in parts:
            if best is None:
                best = part
            elif part.classes == best.classes:
                both = (np.concatenate([getattr(best, name), getattr(part, name)]) for name in _ARRAYS)
                best = cls(best.classes, *both).clearest()
        return best

    def clearest(self) -> Self:
        """The most probable ones of each class, galaxies that are alone first."""
        order = np.lexsort([-self.probability, ~self.alone])
        best = [order[self.kinds[order] == kind][:_MOST] for kind in range(len(self.classes))]
        rows = np.concatenate(best) if best else order
        some = (getattr(self, name)[rows] for name in _ARRAYS)
        return type(self)(self.classes, *some)

    def sheets(self) -> list[tuple[str, str, str]]:
        """A strip of pictures for each class that has any: class, range of probabilities, data URI of a PNG."""
        made = []
        for kind, name in enumerate(self.classes):
            rows = np.flatnonzero(self.kinds == kind)
            if len(rows):
                side = self.pictures.shape[1] + 2
                # as wide for one galaxy as for many, the rest transparent
                strip = np.zeros((side - 2, _MOST * side, 4), dtype=np.uint8)
                for place, picture in enumerate(self.pictures[rows]):
                    cell = strip[:, place * side : (place + 1) * side - 2]
                    cell[..., :3], cell[..., 3] = picture, 255
                p = self.probability[rows]
                made.append((name, f"{p.min():.2f} to {p.max():.2f}", _data_uri(strip)))
        return made

    def save(self, path: str | Path) -> None:
        """Write it, atomically."""
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary, classes=np.array(self.classes), pictures=self.pictures, kinds=self.kinds,
                probability=self.probability, alone=self.alone,
            )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> Self | None:
        """Read it; None where there is none, or it is damaged."""
        try:
            # opened here: of a damaged file numpy would leave it open
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                names = tuple(str(name) for name in stored["classes"])
                return cls(names, *(stored[name] for name in _ARRAYS))
        except FileNotFoundError:
            return None
        except (OSError, EOFError, BadZipFile, ValueError, KeyError) as error:
            logger.warning("%s: cannot be read: %s", path, error)
            return None


def _data_uri(picture: NDArray[np.uint8]) -> str:
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
