"""An image of several bands: what is read, refused, pickled."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astrogalaxy.errors import ImageError
from astrogalaxy.images import Image, Section


@pytest.fixture
def files(tmp_path, rng, make_wcs) -> dict[str, Path]:
    paths = {}
    for i, band in enumerate("gri"):
        paths[band] = tmp_path / f"{band}.fits"
        wcs = make_wcs(centre=(49.5 + i / 3, 49.5))
        fits.writeto(paths[band], rng.normal(10, 1, (90, 110)).astype(np.float32), wcs.to_header())
    return paths


def test_read(files):
    image = Image.read(files, zeropoint=22.5, name="field 1")
    assert list(image.bands) == ["g", "r", "i"]
    assert image.reference == "r"
    assert image.shape == (90, 110)
    assert image.pixel_scale == pytest.approx(0.4, rel=1e-4)
    assert image.wcs is image.bands["r"].wcs
    assert image.bands["g"].zeropoint == 22.5
    assert image.bands["g"].origin == str(files["g"])
    assert image.bands["g"].header["CTYPE1"] == "RA---TAN"
    assert repr(image) == "<Image field 1: 110 x 90 pixels, bands g, r, i, reference r>"


@pytest.mark.parametrize(("bands", "reference"), [("g", "g"), ("gr", "r"), ("gri", "r"), ("ugriz", "r")])
def test_reference_is_the_middle_band(rng, bands, reference):
    assert Image.read(dict.fromkeys(bands, rng.normal(size=(9, 9)))).reference == reference


def test_single_image_has_one_band(files):
    image = Image.read(files["g"])
    assert list(image.bands) == ["image"]
    assert image.aligned().snr.shape == (1, 90, 110)


def test_without_wcs(rng):
    image = Image.read({"g": rng.normal(size=(30, 40)), "r": rng.normal(size=(30, 40))})
    assert image.wcs is None
    assert np.isnan(image.pixel_scale)
    assert image.aligned(Section(3, 9, 4, 8)).snr.shape == (2, 4, 6)


def test_pickled_image_reads_the_same(files):
    image = Image.read(files)
    section = Section(20, 60, 10, 50)
    expected = image.aligned(section)
    content = pickle.dumps(image)
    assert len(content) < 60_000
    again = pickle.loads(content).aligned(section)
    np.testing.assert_array_equal(again.snr, expected.snr)
    np.testing.assert_array_equal(again.bad, expected.bad)


def test_files_are_not_held_open(files):
    image = Image.read(files)
    image.aligned()
    for path in files.values():
        path.unlink()
    unread = pickle.loads(pickle.dumps(image))
    with pytest.raises(ImageError, match="no such file"):
        unread.aligned()


def test_unknown_reference_is_refused(files):
    with pytest.raises(ImageError, match="reference band 'x' is not one of g, r, i"):
        Image.read(files, reference="x")
    with pytest.raises(ImageError, match="at least one band"):
        Image.read({})


@pytest.mark.parametrize("without", ["r", "i"])
def test_other_grid_without_wcs_is_refused_at_once(files, rng, without):
    fits.writeto(files[without], rng.normal(size=(50, 60)), overwrite=True)
    with pytest.raises(ImageError, match=rf"{without}\.fits: without a celestial WCS .*shapes differ"):
        Image.read(files)


@pytest.mark.parametrize("section", [Section(0, 200, 0, 50), Section(5, 5, 0, 50), Section(9, 5, 0, 50)])
def test_section_beyond_the_image_or_empty_is_refused(files, section):
    with pytest.raises(ImageError, match=r"r\.fits: .*does not lie within"):
        Image.read(files).aligned(section)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_constant_file_is_refused_by_name(tmp_path, value):
    fits.writeto(tmp_path / "flat.fits", np.full((70, 80), value, np.float32))
    with pytest.raises(ImageError, match=r"flat\.fits: no usable pixels"):
        Image.read(tmp_path / "flat.fits").aligned()


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("astrogalaxy", "astropy.wcs scipy photutils reproject dask torch matplotlib"),
        ("astrogalaxy.images", "photutils reproject dask torch matplotlib"),
    ],
)
def test_import_stays_light(name, heavy):
    code = f"import sys, {name}; sys.exit(str(set({heavy.split()}) & set(sys.modules) or ''))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stderr.strip() == ""


def test_names_are_text_in_notebooks(rng):
    image = Image.read({"<g>": rng.normal(10, 1, (60, 70))}, name="a<b")
    page = image._repr_html_()
    assert page.count("bands &lt;g&gt;") == 2
    assert "<br><b>a&lt;b</b> 70 x 60" in page
    assert 'alt="a&lt;b 70 x 60' in page
