"""Small colour pictures of tiles, made on the way, from which the report puts a field together."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.errors import RunError
from astrogalaxy.files import atomic_path
from astrogalaxy.images import Aligned, Section
from astrogalaxy.images.picture import BAD, Bools, Floats, Picture, binned, colours

__all__ = ["BAD", "Detail", "Preview", "StoredPreviews", "assemble", "make_preview", "preview_step"]

logger = logging.getLogger(__name__)

# Stripes of a part of a field that has no preview at all, such as a failed tile.
_MISSING = ((46, 42, 40), (74, 66, 60))
_STRIPE = 6
# Peaks above this significance are counted as sources, to find the part that is worth a detail.
_SOURCE = 5.0
# Of the parts of a tile, the detail shows the one that holds more sources than this share of them.
_FULLER = 0.85


@dataclass(frozen=True)
class Detail:
    """A part of a tile at the full resolution of the image.

    Attributes
    ----------
    rgb : ndarray, shape (ny, nx, 3), uint8
        The picture; row 0 has the lowest y.
    x0, y0 : int
        Pixel of the field's reference image that ``rgb[0, 0]`` shows.
    """

    rgb: Picture
    x0: int
    y0: int

    @property
    def section(self) -> Section:
        """What it covers, in pixels of the field."""
        ny, nx = self.rgb.shape[:2]
        return Section(self.x0, self.x0 + nx, self.y0, self.y0 + ny)


@dataclass(frozen=True)
class Preview:
    """Colour picture of one tile, `step` times smaller than the image.

    Attributes
    ----------
    rgb : ndarray, shape (ny, nx, 3), uint8
        The picture; row 0 has the lowest y. ``rgb[0, 0]`` shows the pixels ``x0`` to
        ``x0 + step - 1`` and ``y0`` to ``y0 + step - 1`` of the field's reference image. ny
        or nx is 0 where no block of pixels begins in the tile's core.
    x0, y0 : int
        Multiples of `step`.
    step : int
        Pixels of the image along a side of a pixel of the preview.
    detail : Detail, optional
        A small part at full resolution; None where the preview itself is at it.
    """

    rgb: Picture
    x0: int
    y0: int
    step: int
    detail: Detail | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a file in numpy's ``.npz`` format, atomically.

        Parameters
        ----------
        path : path-like
            The file; its folder must exist.

        Raises
        ------
        RunError
            If the file cannot be written.
        """
        arrays = {"rgb": self.rgb, "origin": np.array([self.x0, self.y0, self.step])}
        if self.detail is not None:
            arrays["detail"] = self.detail.rgb
            arrays["detail_origin"] = np.array([self.detail.x0, self.detail.y0])
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            # Not compressed: noise hardly can be, and a survey's time is better spent.
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Preview:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        Preview

        Raises
        ------
        RunError
            If the file is missing or is not a preview; the message names it.
        """
        try:
            # opened here, because numpy leaves open what turns out to be damaged
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                x0, y0, step = (int(value) for value in stored["origin"])
                detail = None
                if "detail" in stored:
                    at_x, at_y = (int(value) for value in stored["detail_origin"])
                    detail = Detail(_picture(stored["detail"]), at_x, at_y)
                return cls(_picture(stored["rgb"]), x0, y0, step, detail)
        except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            msg = f"{Path(path)}: not a readable preview ({type(error).__name__}); remove it and run again"
            raise RunError(msg) from error


class StoredPreviews(Mapping[str, list[Preview]]):
    """Previews of many fields on disk, read when a field is asked for and not kept.

    A file that is missing or damaged is left out, with a line in the log: a picture is not worth
    the loss of a report.

    Parameters
    ----------
    files : mapping of str to sequence of path-like
        For each field the files of its tiles' previews.
    """

    def __init__(self, files: Mapping[str, Sequence[str | os.PathLike[str]]]) -> None:
        self._files = {name: list(paths) for name, paths in files.items()}

    def __getitem__(self, name: str) -> list[Preview]:
        previews = []
        for path in self._files[name]:
            try:
                previews.append(Preview.load(path))
            except RunError as error:
                logger.warning("field %s is shown without a part: %s", name, error)
        return previews

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: object) -> bool:
        # Mapping would read the files to tell
        return name in self._files


def preview_step(shape: tuple[int, int], *, longest: int = 1400) -> int:
    """Pixels of an image along a side of one pixel of its preview.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    longest : int, optional
        Longest side that the preview of the whole image may have.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> from astrogalaxy.survey.preview import preview_step
    >>> preview_step((1489, 2048)), preview_step((300, 400)), preview_step((20000, 20000))
    (2, 1, 15)
    """
    if longest < 1:
        msg = f"longest must be at least 1 pixel, not {longest}"
        raise ValueError(msg)
    return max(1, -(-max(int(shape[0]), int(shape[1])) // longest))


def make_preview(aligned: Aligned, core: Section, *, step: int, detail: int = 288) -> Preview:
    """Make the colour picture of a tile's core.

    Colours are those of the significance in the bands: the reddest band red, the bluest blue,
    the middle one green. More than three bands are combined into three by signal to noise; of
    two bands green is the mean; one band is grey. The stretch is the same for all tiles: linear
    in the noise, logarithmic above (Lupton et al. 2004), keeping the ratios of the colours.

    Parameters
    ----------
    aligned : Aligned
        The tile, in units of noise; bands from blue to red. Not changed.
    core : Section
        The part of it to show, in pixels of the field.
    step : int
        Pixels along a side of a block that becomes one pixel of the preview. Blocks begin at
        multiples of it on the field, so that previews of neighbours join without a seam.
    detail : int, optional
        Side of the part that is kept at full resolution besides, pixels; 0 for none.

    Returns
    -------
    Preview
        Pixels that are bad in most of a block and in all bands have the colour `BAD`; where
        only some of the bands are bad, the others give the brightness.

    Raises
    ------
    ValueError
        If `step` is below 1, or `core` is not within ``aligned.section``.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.images import Image, Section
    >>> from astrogalaxy.survey.preview import make_preview
    >>> image = Image.read(np.random.default_rng(0).normal(100, 5, (90, 120)))
    >>> make_preview(image.aligned(), Section.whole(image.shape), step=4).rgb.shape
    (23, 30, 3)
    """
    if step < 1:
        msg = f"step must be at least 1 pixel, not {step}"
        raise ValueError(msg)
    if not aligned.section.holds(core):
        msg = f"the core {tuple(core)} is not within the aligned section {tuple(aligned.section)}"
        raise ValueError(msg)
    x0, y0 = -(-core.x0 // step) * step, -(-core.y0 // step) * step
    blocks = Section(x0, max(core.x1, x0), y0, max(core.y1, y0))
    snr, bad = binned(aligned, blocks, step)
    part = None
    if detail > 0 and step > 1 and min(core.shape) > 0:
        where = _typical(snr, blocks, core, step, detail)
        part = Detail(colours(*binned(aligned, where, 1)), where.x0, where.y0)
    return Preview(colours(snr, bad), x0, y0, step, part)


def assemble(previews: Sequence[Preview], shape: tuple[int, int]) -> Picture:
    """Join the previews of a field's tiles.

    Parameters
    ----------
    previews : sequence of Preview
        All with the same step; in any order, none is needed.
    shape : (int, int)
        Rows and columns of the field's reference image.

    Returns
    -------
    ndarray, shape (ceil(ny / step), ceil(nx / step), 3), uint8
        Row 0 has the lowest y. What no preview covers is striped in dull colours.

    Raises
    ------
    ValueError
        If the previews differ in step.
    """
    steps = {preview.step for preview in previews} or {preview_step(shape)}
    if len(steps) > 1:
        msg = f"previews of one field must have one step, not {', '.join(map(str, sorted(steps)))}"
        raise ValueError(msg)
    step = steps.pop()
    ny, nx = (-(-int(length) // step) for length in shape)
    y, x = np.ogrid[:ny, :nx]
    field = np.array(_MISSING, dtype=np.uint8)[(x + y) // _STRIPE % 2]
    for preview in previews:
        column, row = preview.x0 // step, preview.y0 // step
        here = field[row : row + preview.rgb.shape[0], column : column + preview.rgb.shape[1]]
        here[...] = preview.rgb[: here.shape[0], : here.shape[1]]
    return field


def _picture(array: NDArray[np.generic]) -> Picture:
    """The array, if it is a picture."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        msg = f"shape {array.shape} and type {array.dtype} are not those of a picture"
        raise ValueError(msg)
    return array


def _typical(snr: Floats, blocks: Section, core: Section, step: int, side: int) -> Section:
    """A square of the core with about as many sources as are usual in it, rather more than fewer."""
    height, width = min(side, core.shape[0]), min(side, core.shape[1])
    peaks = _peaks(snr.sum(axis=0) / np.float32(np.sqrt(len(snr))))
    places, counts = [], []
    for y in _starts(core.y0, core.y1, height):
        for x in _starts(core.x0, core.x1, width):
            rows = slice(max(y - blocks.y0, 0) // step, max(y + height - blocks.y0, 0) // step + 1)
            columns = slice(max(x - blocks.x0, 0) // step, max(x + width - blocks.x0, 0) // step + 1)
            places.append(Section(x, x + width, y, y + height))
            counts.append(int(peaks[rows, columns].sum()))
    return places[int(np.argsort(counts, kind="stable")[round(_FULLER * (len(places) - 1))])]


def _peaks(light: Floats) -> Bools:
    """Pixels that stand out of the noise and above their four neighbours."""
    peak = light > _SOURCE
    peak[:, 1:] &= light[:, 1:] > light[:, :-1]
    peak[:, :-1] &= light[:, :-1] >= light[:, 1:]
    peak[1:] &= light[1:] > light[:-1]
    peak[:-1] &= light[:-1] >= light[1:]
    return peak


def _starts(low: int, high: int, side: int) -> list[int]:
    """Where squares begin that cover low..high evenly."""
    count = max(1, (high - low) // side)
    return [low + round(i * (high - low - side) / max(count - 1, 1)) for i in range(count)]
