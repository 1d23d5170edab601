"""Small simulated skies for the tests of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from astropy.wcs import WCS


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture
def make_wcs() -> Callable[..., WCS]:
    def make(*, centre=(49.5, 49.5), sky=(150.0, 2.0), scale=0.4, angle=0.0, frame="ICRS", flip=False) -> WCS:
        """TAN WCS: pixel `centre` (0-based) is at `sky`; `scale` in arcsec, `angle` in degrees."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval = sky
        wcs.wcs.crpix = [centre[0] + 1, centre[1] + 1]
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        sign = 1 if flip else -1
        wcs.wcs.cd = np.array([[sign * cos, sin], [-sign * sin, cos]]) * scale / 3600
        wcs.wcs.radesys = frame
        return wcs

    return make


@pytest.fixture
def make_stars() -> Callable[..., np.ndarray]:
    def make(shape, x, y, *, sigma=2.0, peak=1000.0, sky=0.0, noise=0.0, seed=1) -> np.ndarray:
        """Round Gaussians at the pixels (x, y), on a sky with Gaussian noise."""
        rows, columns = np.indices(shape)
        image = np.random.default_rng(seed).normal(sky, noise, shape) if noise else np.full(shape, float(sky))
        for x0, y0, height in zip(x, y, np.broadcast_to(peak, np.shape(x)), strict=True):
            image += height * np.exp(-((columns - x0) ** 2 + (rows - y0) ** 2) / (2 * sigma**2))
        return image.astype(np.float32)

    return make


@pytest.fixture
def centroid() -> Callable[..., tuple[float, float]]:
    def measure(image: np.ndarray, x: float, y: float, *, radius: int = 8) -> tuple[float, float]:
        """Flux-weighted centroid (x, y) of a bright source near a pixel."""
        x0, y0 = round(x) - radius, round(y) - radius
        cut = np.asarray(image, float)[y0 : y0 + 2 * radius + 1, x0 : x0 + 2 * radius + 1]
        rows, columns = np.indices(cut.shape)
        return float((columns * cut).sum() / cut.sum() + x0), float((rows * cut).sum() / cut.sum() + y0)

    return measure
