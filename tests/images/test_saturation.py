"""Tests of astrogalaxy.images.saturation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import galsim
import numpy as np
import pytest

from astrogalaxy.images import Image
from astrogalaxy.images.saturation import blunt_cores, core_of, with_cores

SHAPE = (151, 161)
X, Y = 80.3, 74.8
FWHM, LEVEL = 3.6, 2000.0


def psf(fwhm: float = FWHM) -> galsim.GSObject:
    return galsim.Moffat(beta=2.8, fwhm=fwhm)


def drawn(*profiles: tuple[galsim.GSObject, float, float]) -> np.ndarray:
    """Light of profiles at their places."""
    image = galsim.ImageD(SHAPE[1], SHAPE[0], xmin=0, ymin=0)
    for profile, x, y in profiles:
        image += profile.drawImage(image=image.copy(), scale=1.0, center=galsim.PositionD(x, y))
    return image.array


def star(peak: float) -> np.ndarray:
    """A star whose brightest pixel would be of so many levels."""
    light = drawn((psf(), X, Y))
    return light * peak * LEVEL / light.max()


def clipped(light: np.ndarray) -> np.ndarray:
    return np.minimum(light, LEVEL)


def interpolated(light: np.ndarray) -> np.ndarray:
    """Each row goes straight from one side of the core to the other, as some surveys have it."""
    made = light.copy()
    for row in made:
        lost = np.flatnonzero(row > LEVEL)
        if len(lost):
            first, last = lost[0] - 1, lost[-1] + 1
            row[first : last + 1] = np.linspace(row[first], row[last], last - first + 1)
    return made


def cores_of(light: np.ndarray, bad: np.ndarray | None = None, *, seeing: float = FWHM) -> np.ndarray:
    noisy = light + np.random.default_rng(1).normal(0, 1, SHAPE)
    noisy = noisy + np.random.default_rng(2).normal(0, 1, SHAPE) * np.sqrt(np.clip(light, 0, None) / 4)
    bad = np.zeros(SHAPE, dtype=bool) if bad is None else bad
    return blunt_cores(np.where(bad, 0, noisy).astype(np.float32), np.ones(SHAPE, np.float32), bad, seeing)


@pytest.mark.parametrize("lost", [clipped, interpolated])
@pytest.mark.parametrize(("peak", "seeing"), [(3, FWHM), (10, FWHM), (100, FWHM), (10, np.nan), (100, np.nan)])
def test_the_core_of_a_saturated_star_is_found(lost: Callable[..., np.ndarray], peak: float, seeing: float) -> None:
    light = star(peak)
    cores = cores_of(lost(light), seeing=seeing)
    assert len(cores) == 1
    x, y, radius = cores[0]
    assert (x, y) == pytest.approx((X, Y), abs=0.5)
    # everything that is lost, and not much more
    rows, columns = np.indices(SHAPE)
    farthest = np.hypot(columns - x, rows - y)[light > LEVEL].max()
    assert farthest - 0.5 < radius < 1.5 * farthest + 1


def test_a_core_without_data_is_found() -> None:
    light = star(20.0)
    assert len(cores_of(light, light > LEVEL)) == 1


@pytest.mark.parametrize("peak", [0.05, 0.5, 0.99])
@pytest.mark.parametrize("fwhm", [2.0, 3.6, 7.0])
def test_whole_stars_have_none(peak: float, fwhm: float) -> None:
    light = drawn((psf(fwhm), X, Y))
    assert not len(cores_of(clipped(light * peak * LEVEL / light.max()), seeing=fwhm))


@pytest.mark.parametrize("sersic", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("radius", [1.0, 3.0, 9.0])
@pytest.mark.parametrize("q", [0.3, 1.0])
def test_galaxies_have_none(sersic: float, radius: float, q: float) -> None:
    galaxy = galsim.Convolve(
        galsim.Sersic(sersic, half_light_radius=radius).shear(q=q, beta=30 * galsim.degrees), psf()
    )
    light = drawn((galaxy, X, Y))
    for seeing in (FWHM, np.nan):
        assert not len(cores_of(light * LEVEL / light.max(), seeing=seeing))


@pytest.mark.parametrize("gap", np.arange(0.5, 3.1, 0.25))
@pytest.mark.parametrize("ratio", [1.0, 0.7])
def test_two_stars_beside_each_other_are_none(gap: float, ratio: float) -> None:
    pair = drawn((psf(), X - gap * FWHM / 2, Y), (ratio * psf(), X + gap * FWHM / 2, Y))
    assert not len(cores_of(pair * LEVEL / pair.max()))


def test_positions_and_pixels_in_cores() -> None:
    cores = np.array([[20.0, 30.0, 5.0], [1.0, 1.0, 3.0]])
    assert core_of(cores, np.array([23.0, 26.0, 0.0]), np.array([33.0, 30.0, 0.0])).tolist() == [0, -1, 1]
    none = np.zeros((60, 50), dtype=bool)
    assert with_cores(none, cores[:0]) is none
    made = with_cores(none, cores)
    rows, columns = np.indices(none.shape)
    assert (made == (core_of(cores, columns.ravel(), rows.ravel()) >= 0).reshape(none.shape)).all()
    assert not none.any()


def test_saturated_stars_of_a_real_frame(shared_data: Path) -> None:
    """SDSS interpolates over them, and says no level; those of this frame are known by looking at it."""
    band = Image.read({"r": shared_data / "sdss" / "frame-r-003918-3-0213.fits.bz2"}).bands["r"]
    pixels = band.pixels()
    cores = blunt_cores(pixels.data, pixels.noise, pixels.bad, 3.0)
    np.testing.assert_allclose(cores[np.argsort(cores[:, 0]), :2], [[873.5, 1074], [1662.6, 728]], atol=1.5)
