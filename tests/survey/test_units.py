"""Images in any unit have one catalogue, up to the unit of its fluxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import astrogalaxy as ag
from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.simulation import PROFILES, Scene, simulate_scene

SCALES = [1e-30, 1e-24, 1e-20, 1e20]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A field in one band, with stars for a census."""
    return simulate_scene(PROFILES["sdss"], size=400, seed=2, artefacts=False)


def settings(scene: Scene, scale: float) -> dict:
    """Everything that a band can come with."""
    pixels = scene.images["r"]
    noise = float(ag.Image.read(pixels).bands["image"].mesh.noise_mesh.mean())
    weight = np.full(pixels.shape, (noise * scale) ** -2.0)
    return {"gain": 4 / scale, "saturation": float(0.9 * pixels.max()) * scale, "weight": weight}


def compare(table: SourceCatalog, expected: SourceCatalog, unit: float) -> None:
    assert len(table) == len(expected) > 20
    np.testing.assert_array_equal(table["flags"], expected["flags"])
    for name in ("ra", "dec"):
        np.testing.assert_allclose(table[name], expected[name], atol=1e-6)
    for name in ("flux_r", "flux_r_err", "flux_aper_r", "flux_aper_r_err", "flux_apcor_r", "mag_r"):
        factor = 1.0 if name == "mag_r" else unit
        np.testing.assert_allclose(np.asarray(table[name]) / factor, expected[name], rtol=5e-3, atol=1e-2, err_msg=name)
    for name in ("snr", "a", "spread", "det_score", "p_star"):
        np.testing.assert_allclose(table[name], expected[name], rtol=5e-3, atol=5e-3, err_msg=name)


@pytest.mark.parametrize("calibrated", [False, True])
def test_detect(scene, calibrated):
    def catalog(scale: float) -> SourceCatalog:
        zero = 22.5 + 2.5 * np.log10(scale) if calibrated else None
        pixels = scene.images["r"].astype(float) * scale
        return ag.detect(ag.Image.read({"r": (pixels, scene.wcs["r"])}, zeropoint=zero, **settings(scene, scale)))

    expected = catalog(1.0)
    assert np.isfinite(expected["spread"]).any(), "its stars are known"
    assert expected.calibrated == (("r",) if calibrated else ())
    assert (str(expected["flux_r"].unit) == "nJy") == calibrated
    for scale in SCALES:
        compare(catalog(scale), expected, 1.0 if calibrated else scale)


def test_run(scene, tmp_path):
    def catalog(scale: float) -> SourceCatalog:
        folder: Path = tmp_path / f"{scale:g}"
        folder.mkdir()
        given = settings(scene, scale)
        weight = given.pop("weight")
        fits.writeto(folder / "sky-r.fits", scene.images["r"].astype(float) * scale, scene.wcs["r"].to_header())
        fits.writeto(folder / "weight-r.fits", weight)
        lines = [f"  {key}: {value!r}" for key, value in given.items()]
        (folder / "survey.yml").write_text(
            'name: far\nimages:\n  path: "sky-{band}.fits"\n  weight: "weight-{band}.fits"\n  bands: [r]\n'
            + "\n".join(lines)
            + "\ncompute: {workers: 1, device: cpu}\ntiles: {size: 192, overlap: 64}\n"
        )
        return ag.run(folder / "survey.yml")

    expected = catalog(1.0)
    for scale in (SCALES[0], SCALES[-1]):
        compare(catalog(scale), expected, scale)
