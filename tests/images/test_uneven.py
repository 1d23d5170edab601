"""Skies that are uneven on the scale of sources: nebulae are noise where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

import astrogalaxy as ag
from astrogalaxy.images import Image
from astrogalaxy.images.emptyapertures import noise_factor
from astrogalaxy.images.sums import SIDE, differences, empty_sums


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    """A cloud in the left part of an image, with structure on all scales, in units of the noise."""
    rng = np.random.default_rng(4)
    wave = np.hypot(*np.meshgrid(*[np.fft.fftfreq(768)] * 2))
    wave[0, 0] = np.inf
    structure = np.fft.ifft2(np.fft.fft2(rng.normal(size=wave.shape)) * wave**-1.5).real
    rows, columns = np.indices(wave.shape)
    envelope = np.exp(-((columns - 200) ** 2 + (rows - 384) ** 2) / (2 * 110**2))
    return 20 * envelope * np.exp(0.7 * structure / structure.std())


def stars(x: np.ndarray, y: np.ndarray, light: float) -> np.ndarray:
    rows, columns = np.indices((768, 768))
    near = [np.exp(-((columns - a) ** 2 + (rows - b) ** 2) / (2 * 1.5**2)) for a, b in zip(x, y, strict=True)]
    return light / (2 * np.pi * 1.5**2) * np.sum(near, axis=0)


def test_a_cloud_is_noise_where_it_is(cloud: np.ndarray, rng: np.random.Generator) -> None:
    noise = rng.normal(size=cloud.shape).astype(np.float32)
    clear, clouded = (Image.read({"r": noise + part}).bands["r"] for part in (0, cloud))
    meshes = clear.mesh.noise_mesh, clouded.mesh.noise_mesh
    beside = np.s_[:, 9:]
    np.testing.assert_allclose(meshes[1][beside], meshes[0][beside], rtol=0.15)
    np.testing.assert_allclose(meshes[0], 1.0, rtol=0.1)
    middle = clouded.pixels(ag.images.Section(128, 256, 320, 448))
    scatter = np.concatenate(differences(empty_sums(middle.data, np.inf, middle.bad)), axis=None) / SIDE
    assert np.nanstd(scatter) > 3.0, "that is how uneven it is"
    assert float(np.median(middle.noise)) == pytest.approx(np.nanstd(scatter), rel=0.5)
    assert (noise_factor(clear), noise_factor(clouded)) == (1.0, pytest.approx(1.0, abs=0.3))


def test_stars_beside_a_cloud_are_found_as_without_it(cloud: np.ndarray, rng: np.random.Generator) -> None:
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(540, 740, 5), np.linspace(40, 730, 12)))
    image = rng.normal(size=cloud.shape) + stars(x, y, 60.0)
    found = []
    for part in (0, cloud):
        catalog = ag.detect(Image.read({"r": image + part}))
        gaps = np.hypot(x[:, None] - np.asarray(catalog["x"]), y[:, None] - np.asarray(catalog["y"]))
        found.append((int((gaps.min(axis=1) < 2).sum()), float(np.median(catalog["snr"][gaps.argmin(axis=1)]))))
    (clear, snr_clear), (clouded, snr_clouded) = found
    assert clear == 60 and clouded >= 58
    assert snr_clouded == pytest.approx(snr_clear, rel=0.15)


def test_moonlight_and_vignetting_are_no_noise(rng: np.random.Generator) -> None:
    rows, columns = np.indices((1000, 1200)) / 1000
    sky = 6000 * (1 + 0.5 * columns) * (1 - 0.25 * ((columns - 0.6) ** 2 + (rows - 0.5) ** 2))
    band = Image.read({"r": rng.normal(sky, np.sqrt(sky))}).bands["r"]
    assert noise_factor(band) == pytest.approx(1.0, abs=0.06)


def test_differences_know_no_slopes_and_need_three() -> None:
    rows, columns = np.indices((9, 7)) * 1.0
    sums = 3 * rows - 2 * columns + 5
    sums[4, 4] = np.nan
    along_y, along_x = differences(sums)
    assert np.nanmax(np.abs(along_y)) < 1e-9 and np.nanmax(np.abs(along_x)) < 1e-9
    assert np.isfinite(along_y).sum() == 5 * 7 - 3 and np.isnan(along_y[[2, 4, 6], 4]).all()
    assert np.isnan(along_x[4, [2, 4]]).all()
    assert all(np.isnan(part).all() for part in differences(sums[:3, :3]))
    assert empty_sums(sums, np.inf, np.isnan(sums)).shape == (1, 0)
