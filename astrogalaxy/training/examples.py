"""Training examples: aligned bands in units of noise, and what is to be found on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from astrogalaxy.errors import RunError
from astrogalaxy.files import atomic_path
from astrogalaxy.images import Image, Section
from astrogalaxy.simulation import Scene
from astrogalaxy.simulation.render import star_size

__all__ = [
    "SOURCE_DTYPE",
    "Example",
    "cut_out",
    "example_from_scene",
    "half_precision",
    "scene_image",
    "sources_array",
    "truth_sources",
]

#: One source of an example. Boxes in 0-based pixels; ``galaxy`` and ``disk`` are
#: probabilities, NaN where unknown; ``snr`` NaN where unknown.
SOURCE_DTYPE = np.dtype([(n, "f4") for n in ("x", "y", "width", "height", "galaxy", "disk", "snr")] + [("ignore", "?")])
# Sources of a lower matched-filter signal to noise are left out; from here to where they are visible they are ignored.
_HOPELESS_SNR = 2.5
# Smooth and disk galaxies can be told apart only where they are bright, and wide compared with the seeing.
_MORPHOLOGY_SNR, _MORPHOLOGY_RADIUS = 20.0, 0.45


@dataclass(frozen=True)
class Example:
    """Pixels and sources of a piece of sky.

    Attributes
    ----------
    snr : ndarray
        ``(n_bands, ny, nx)`` float16, (pixel - background) / noise, 0 where bad.
    sources : ndarray
        Records of `SOURCE_DTYPE`.
    name : str
        For messages and file names.
    seeing : float
        Half-light diameter of stars in pixels, NaN where it is not known.
    pixel_scale : float
        Arcsec per pixel of a real image, NaN where it is not known, and of what is simulated.
    """

    snr: NDArray[np.float16]
    sources: NDArray[np.void]
    name: str = field(default="", compare=False)
    seeing: float = float("nan")
    pixel_scale: float = float("nan")

    def save(self, folder: Path) -> Path:
        """Write the example atomically; the pixels can be memory-mapped."""
        with atomic_path(folder / f"{self.name}.sources.npz") as path, path.open("wb") as file:
            np.savez(file, sources=self.sources, seeing=self.seeing, pixel_scale=self.pixel_scale)
        with atomic_path(folder / f"{self.name}.npy") as path, path.open("wb") as file:
            np.save(file, self.snr)
        return folder / f"{self.name}.npy"

    @classmethod
    def load(cls, path: Path) -> Example:
        """Map an example from disk.

        Raises
        ------
        RunError
            If one of its files is missing or damaged.
        """
        file = path.with_name(f"{path.stem}.sources.npz")
        try:
            # opened here, since numpy leaves a damaged file open
            with file.open("rb") as opened, np.load(opened) as stored:
                # examples of earlier versions do not say their pixel scale
                known = {"pixel_scale": np.nan, **stored}
            sources, seeing, scale = known["sources"], float(known["seeing"]), float(known["pixel_scale"])
            file = path
            return cls(np.load(path, mmap_mode="r"), sources, path.stem, seeing, scale)
        except Exception as error:  # numpy and zipfile raise errors of many unrelated kinds on damaged files
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            msg = f"{file}: the prepared example is missing or damaged ({why}); delete {path}, and it is made again"
            raise RunError(msg) from error


def sources_array(**columns: object) -> NDArray[np.void]:
    """Build source records from columns; unnamed ones are unknown (NaN, not ignored)."""
    n = len(np.asarray(columns["x"]))
    sources = np.full(n, np.nan, dtype=SOURCE_DTYPE)
    sources["ignore"] = False
    for name, values in columns.items():
        sources[name] = values
    return sources


def example_from_scene(scene: Scene, *, name: str = "") -> Example:
    """Reduce a simulated scene exactly as a survey's images are reduced."""
    snr = scene_image(scene).aligned().snr
    seeing = float(np.mean(list(scene.conditions.seeing.values())))
    # as it would be measured with stars enough: a small scene often has too few
    stars = star_size(scene.conditions, scene.reference, scene.profile.pixel_scale)
    return Example(half_precision(snr), truth_sources(scene.truth, seeing), name, stars)


def cut_out(example: Example, part: Section) -> Example:
    """A part of an example, with the sources that have their centre there."""
    sources = example.sources[part.contains(example.sources["x"], example.sources["y"])]
    sources["x"] -= part.x0
    sources["y"] -= part.y0
    return replace(example, snr=example.snr[(slice(None), *part.slices)], sources=sources)


def scene_image(scene: Scene) -> Image:
    """A simulated scene as a survey's images are opened."""
    return Image.read(
        {band: (scene.images[band], scene.wcs[band]) for band in scene.images},
        reference=scene.reference,
    )


def truth_sources(truth: Table, seeing: float) -> NDArray[np.void]:
    """Source records of a truth table; ``seeing`` in arcsec."""
    known = np.asarray(truth["snr"] >= _HOPELESS_SNR)
    t = truth[known]
    resolved = (t["snr"] >= _MORPHOLOGY_SNR) & (t["half_light_radius"] >= _MORPHOLOGY_RADIUS * seeing)
    return sources_array(
        x=t["x"],
        y=t["y"],
        width=t["x_max"] - t["x_min"],
        height=t["y_max"] - t["y_min"],
        galaxy=(t["class"] == "galaxy").astype(float),
        disk=np.where(resolved, t["disk"], np.nan),
        snr=t["snr"],
        ignore=~t["visible"],
    )


def half_precision(snr: NDArray[np.float32]) -> NDArray[np.float16]:
    """Signal to noise as examples keep it, which is finer than the noise; saturated cores are clipped to its range."""
    return np.clip(snr, -6e4, 6e4).astype(np.float16)
