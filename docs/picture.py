"""Draw the picture of the quickstart, for README.md and the first page: images, and sources found in them.

astrogalaxy run pipelines/quickstart.yml
python docs/picture.py quickstart-out/quickstart.fits
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse

from astrogalaxy import Image, SourceCatalog
from astrogalaxy.config import pipelines_folder

COLOURS = {"star": "#ffd166", "galaxy": "#4cc9f0", "unsure": "#c9c9c9"}
TARGET = Path(__file__).parent / "_static" / "quickstart.png"
HALF = 2.6  # semi-axes of a mark in those of the source
LEAST = 4.5  # pixels
COLOUR = 0.7  # how much of the colours is shown


def colour_picture(image: Image) -> np.ndarray:
    """The bands as red, green and blue, longest wavelength first, (ny, nx, 3) from 0 to 1."""
    snr = image.aligned().snr[::-1].astype(float)
    mean = snr.mean(axis=0)
    stretched = np.arcsinh(np.maximum(mean + 1, 0) / 3) / np.arcsinh(300)
    ratio = (snr + 1) / np.where(mean + 1 > 0, mean + 1, np.inf)
    return np.clip(np.moveaxis(stretched * np.clip(ratio, 0, 3) ** COLOUR, 0, -1), 0, 1)


def draw(image: Image, catalog: SourceCatalog, target: Path) -> None:
    """Write the picture: the field bare, and with its sources."""
    ny, nx = image.shape
    picture = colour_picture(image)
    scale = image.pixel_scale
    figure, panels = plt.subplots(1, 2, figsize=(11, 5.5 * ny / nx), facecolor="black", layout="constrained")
    for panel in panels:
        panel.imshow(picture, origin="lower", interpolation="nearest")
        panel.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5), xticks=[], yticks=[])
        panel.set_facecolor("black")
    for row in catalog:
        sides = [2 * max(HALF * float(row[axis]) / scale, LEAST) for axis in ("a", "b")]
        # from north over east to the image's x, north up and east left
        angle = 90 + float(row["theta"]) if np.isfinite(row["theta"]) else 0
        where = (float(row["x"]), float(row["y"]))
        panels[1].add_patch(Ellipse(where, *sides, angle=angle, fill=False, lw=1, ec=COLOURS[str(row["class"])]))
    marks = [
        plt.Line2D([], [], marker="o", ls="", mfc="none", mec=COLOURS[name], label=f"{number} {name}{plural}")
        for name, plural in (("star", "s"), ("galaxy", ""), ("unsure", ""))
        if (number := int(np.sum(np.asarray(catalog["class"]) == name)))
    ]
    for mark in marks:
        mark.set_label(str(mark.get_label()).replace("galaxy", "galaxies"))
    panels[1].legend(handles=marks, loc="upper right", facecolor="black", labelcolor="white", framealpha=0.6)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    mpl.use("agg")
    folder = pipelines_folder() / "quickstart"
    bands = {band: folder / f"quickstart-{band}.fits" for band in "gri"}
    draw(Image.read(bands, reference="r", zeropoint=22.5), SourceCatalog.read(sys.argv[1]), TARGET)
