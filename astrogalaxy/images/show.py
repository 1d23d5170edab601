"""Images on the screen: matplotlib axes, and small pictures for notebooks."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

from astrogalaxy.errors import ImageError
from astrogalaxy.images.picture import colour_picture
from astrogalaxy.images.tiling import Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from astrogalaxy.images.align import Aligned

__all__ = ["draw_image", "image_html"]

# Of a larger image a notebook shows the middle: the whole would take its time.
_MIDDLE = 1024
_WIDTH = 420
# Coordinates of other systems keep the names that astropy gives them.
_NAMES = {"pos.eq.ra": "right ascension", "pos.eq.dec": "declination"}


def draw_image(
    aligned: Callable[[Section], Aligned], section: Section, *, wcs: Any, ax: Any = None, longest: int = 1400
) -> Any:
    """Draw a section of an image, of which `aligned` gives the bands; see `Image.plot`."""
    import matplotlib.pyplot as plt

    picture, step = colour_picture(aligned, section, longest=longest)
    if ax is None:
        sides = section.shape[1], section.shape[0]
        size = [8 * side / max(sides) + 0.8 for side in sides]
        kind = {} if wcs is None else {"projection": wcs}
        ax = plt.figure(figsize=size, layout="constrained").add_subplot(**kind)
    rows, columns = picture.shape[:2]
    extent = (
        section.x0 - 0.5, section.x0 + columns * step - 0.5, section.y0 - 0.5, section.y0 + rows * step - 0.5,
    )  # fmt: skip
    ax.imshow(picture, origin="lower", extent=extent, interpolation="nearest")
    ax.set_xlim(section.x0 - 0.5, section.x1 - 0.5)
    ax.set_ylim(section.y0 - 0.5, section.y1 - 0.5)
    if hasattr(ax, "coords"):
        # each coordinate is named where its ticks are: on a turned image right ascension may run along the left side
        for coordinate, kind in zip(ax.coords, ax.wcs.world_axis_physical_types, strict=False):
            if kind in _NAMES:
                coordinate.set_axislabel(_NAMES[kind])
    else:
        ax.set_xlabel("x (pixel)")
        ax.set_ylabel("y (pixel)")
    return ax


def image_html(aligned: Callable[[Section], Aligned], shape: tuple[int, int], *, name: str, line: str) -> str:
    """A picture of an image, of which `aligned` gives the bands, with its name and a line about it, in HTML."""
    ny, nx = shape
    name, line = escape(name), escape(line)
    title = f"<b>{name}</b> {line}" if name else line
    x0, y0 = max(0, (nx - _MIDDLE) // 2), max(0, (ny - _MIDDLE) // 2)
    middle = Section(x0, min(nx, x0 + _MIDDLE), y0, min(ny, y0 + _MIDDLE))
    shown = "" if middle.shape == (ny, nx) else f" (shown: the middle {_MIDDLE} pixels)"
    try:
        uri = _png(aligned, middle)
    except ImageError as error:
        return f"<div>{title}<br>{escape(str(error))}</div>"
    alt = f"{name} {line}".strip()
    return f'<div><img src="{uri}" width="{_WIDTH}" alt="{alt}"><br>{title}{shown}</div>'


def _png(aligned: Callable[[Section], Aligned], section: Section) -> str:
    from PIL import Image

    picture, _ = colour_picture(aligned, section, longest=_WIDTH)
    buffer = io.BytesIO()
    Image.fromarray(picture[::-1]).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
