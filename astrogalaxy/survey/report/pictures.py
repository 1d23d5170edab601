"""The pictures of a field: the whole of it and a detail, with the sources' marks over them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.survey.facts import FieldFacts, values
from astrogalaxy.survey.preview import Detail, Preview, assemble
from astrogalaxy.survey.report.marks import Frame, Orientation, mark_paths, orientation
from astrogalaxy.survey.report.text import number

__all__ = ["Drawing", "FieldView", "field_view", "jpeg_uri"]

# More marks than one per this many pixels of a picture would hide the sky.
_ROOM = 400.0
_MOST_MARKS, _MOST_IN_DETAIL = 4000, 1000
_DETAIL_SIDE = 288
_QUALITIES = (88, 80, 70, 55)
# Of the details, the one shown holds more sources than this share of them.
_FULLER = 0.6
_BARS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000)

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawing:
    """A picture with the marks over it, ready for the page.

    Attributes
    ----------
    uri : str
        The picture, embedded.
    width, height : int
        Of the canvas of the marks.
    paths : dict of str to str
        SVG paths by class: one for all sources of the class.
    single : dict of str to list of (str, str)
        By class, a path and a description for each source; for few sources.
    bar : tuple of (float, str)
        Length of the scale bar in percent of the width, and its label; 0 for none.
    """

    uri: str
    width: int
    height: int
    paths: dict[str, str]
    single: dict[str, list[tuple[str, str]]]
    bar: tuple[float, str]


@dataclass(frozen=True)
class FieldView:
    """Everything of one field that is to be seen.

    Attributes
    ----------
    facts : FieldFacts
        The field.
    whole : Drawing
        The whole field.
    detail : Drawing or None
        A part of it at full resolution.
    detail_full : bool
        Whether all sources on the detail have a mark.
    box : tuple of float
        Where the detail is on the whole: x, y, width and height on its canvas.
    compass : tuple of float or None
        Unit vectors to the north and to the east on the canvas.
    n_marks, n_sources : int
        Sources with a mark on the whole, and all of the field.
    step : int
        Pixels of the image per pixel of the whole.
    """

    facts: FieldFacts
    whole: Drawing
    detail: Drawing | None
    detail_full: bool
    box: tuple[float, float, float, float] | None
    compass: tuple[float, float, float, float] | None
    n_marks: int
    n_sources: int
    step: int


def field_view(
    facts: FieldFacts, catalog: SourceCatalog, previews: Sequence[Preview], *, reference: str, budget: int
) -> FieldView:
    """Draw a field.

    Parameters
    ----------
    facts : FieldFacts
        Its numbers; the shape must be known.
    catalog : SourceCatalog
        Its sources.
    previews : sequence of Preview
        Those of its tiles.
    reference : str
        Band by whose flux the brightest are chosen, where there are too many to mark all.
    budget : int
        Bytes that the pictures should not exceed.

    Returns
    -------
    FieldView
    """
    rgb = assemble(previews, facts.shape)
    step = previews[0].step
    height, width = rgb.shape[:2]
    turned = orientation(catalog)
    frame = Frame(0.0, 0.0, step, width, height, 3.6)
    most = int(min(_MOST_MARKS, max(width * height / _ROOM, 1)))
    shown = catalog[_brightest(catalog, frame, reference, most)]
    paths = {kind: "".join(each) for kind, each in mark_paths(shown, frame, turned).items()}
    scale_bar = _bar(width * step, facts.pixel_scale)
    whole = Drawing(jpeg_uri(rgb[::-1], budget * 3 // 4), width, height, paths, {}, scale_bar)
    part = _detail(previews, rgb, catalog, step)
    detail, full, box = None, True, None
    if part is not None:
        detail, full = _draw_detail(part, catalog, turned, facts.pixel_scale, reference, budget // 4)
        rows, columns = part.rgb.shape[:2]
        box = ((part.x0 / step), height - part.section.y1 / step, columns / step, rows / step)
    return FieldView(facts, whole, detail, full, box, _compass(turned), len(shown), len(catalog), step)


def _brightest(catalog: SourceCatalog, frame: Frame, reference: str, most: int) -> NDArray[np.intp]:
    """Rows of the sources on a canvas; those with the most flux, if there are too many."""
    rows = np.flatnonzero(frame.holds(values(catalog, "x"), values(catalog, "y")))
    if len(rows) <= most:
        return rows
    flux = values(catalog, f"flux_{reference}")[rows]
    order = np.argsort(-np.nan_to_num(flux, nan=-np.inf), kind="stable")
    return np.sort(rows[order[:most]])


def _detail(previews: Sequence[Preview], rgb: Picture, catalog: SourceCatalog, step: int) -> Detail | None:
    """The detail whose number of sources is usual, rather more than less."""
    parts = [preview.detail for preview in previews if preview.detail is not None]
    if not parts and step == 1:
        parts = _cuts(rgb)
    if not parts:
        return None
    x, y = values(catalog, "x"), values(catalog, "y")
    held = [int(part.section.contains(x, y).sum()) for part in parts]
    return parts[int(np.argsort(held, kind="stable")[round(_FULLER * (len(parts) - 1))])]


def _cuts(rgb: Picture) -> list[Detail]:
    """Parts of a field that is small enough to be shown whole at full resolution."""
    ny, nx = rgb.shape[:2]
    # of a picture that is hardly larger than a detail there is nothing more to see
    if max(ny, nx) < 1.5 * _DETAIL_SIDE:
        return []
    height, width = min(_DETAIL_SIDE, ny), min(_DETAIL_SIDE, nx)
    rows = range(0, ny - height + 1, max(height // 2, 1))
    columns = range(0, nx - width + 1, max(width // 2, 1))
    return [Detail(rgb[y : y + height, x : x + width], x, y) for y in rows for x in columns]


def _draw_detail(
    part: Detail, catalog: SourceCatalog, turned: Orientation | None, scale: float, reference: str, budget: int
) -> tuple[Drawing, bool]:
    """A detail with a mark and a description of each of its sources, and whether these are all."""
    height, width = part.rgb.shape[:2]
    frame = Frame(float(part.x0), float(part.y0), 1.0, width, height, 4.0)
    mine = catalog[_brightest(catalog, frame, reference, _MOST_IN_DETAIL)]
    words = _descriptions(mine, reference)
    marks = mark_paths(mine, frame, turned)
    single = {kind: [(p, w) for p, w in zip(paths, words, strict=True) if p] for kind, paths in marks.items()}
    drawing = Drawing(jpeg_uri(part.rgb[::-1], budget), width, height, {}, single, _bar(width, scale))
    return drawing, len(mine) < _MOST_IN_DETAIL


def _descriptions(catalog: SourceCatalog, reference: str) -> list[str]:
    """What the pointer shows over a mark."""
    magnitude, error = values(catalog, f"mag_{reference}"), values(catalog, f"mag_{reference}_err")
    galaxy, snr = values(catalog, "p_galaxy"), values(catalog, "snr")
    words = []
    for i, kind in enumerate(np.asarray(catalog["class"])):
        parts = [str(kind), f"p_galaxy {number(galaxy[i])}"]
        if np.isfinite(magnitude[i]):
            parts.append(f"{reference} {number(magnitude[i])} ± {number(error[i])}")
        words.append(", ".join([*parts, f"snr {number(snr[i], 0)}"]))
    return words


def _bar(n_pixels: float, scale: float) -> tuple[float, str]:
    """Length of a scale bar of about a fifth of the width, percent, and its label."""
    width = n_pixels * scale
    if not np.isfinite(width) or width <= 0:
        return 0.0, ""
    length = max((bar for bar in _BARS if bar <= 0.25 * width), default=None)
    if length is None:
        return 0.0, ""
    for unit, size in (("°", 3600), ("\N{PRIME}", 60), ("\N{DOUBLE PRIME}", 1)):
        if length >= size and length % size == 0:
            return 100 * length / width, f"{length // size}{unit}"
    return 100 * length / width, f"{length}\N{DOUBLE PRIME}"


def _compass(turned: Orientation | None) -> tuple[float, float, float, float] | None:
    """Unit vectors to the north and to the east, y downwards."""
    if turned is None:
        return None
    (north_x, north_y), (east_x, east_y) = turned.direction(0.0), turned.direction(90.0)
    return round(north_x, 3), round(-north_y, 3), round(east_x, 3), round(-east_y, 3)


def jpeg_uri(rgb: Picture, budget: int) -> str:
    """A picture as an embedded JPEG, as good as the budget of bytes allows.

    Parameters
    ----------
    rgb : ndarray, shape (ny, nx, 3), uint8
        The picture; row 0 is on top.
    budget : int
        Bytes of the embedded text. The quality falls until it fits, then the size is halved.

    Returns
    -------
    str
        A ``data:`` address.
    """
    from PIL import Image as Pillow

    picture = Pillow.fromarray(np.ascontiguousarray(rgb))
    while True:
        for quality in _QUALITIES:
            buffer = io.BytesIO()
            # full colour resolution: sources are small and their colour is what counts
            picture.save(buffer, "JPEG", quality=quality, subsampling=0)
            if buffer.tell() * 4 / 3 <= budget:
                break
        if buffer.tell() * 4 / 3 <= budget or max(picture.size) < 200:
            return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        picture = picture.resize((max(picture.width // 2, 1), max(picture.height // 2, 1)))
