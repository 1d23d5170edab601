"""Every survey file runs on a small field that is laid out as the survey's own files are; every detector's recipe trains.

The recipes of classifiers are trained in tests/morphology/test_classifier_recipes.py.
"""

from __future__ import annotations

import bz2
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image as Picture
from survey_layouts import EMPTY, LAYOUTS, Part

import astrogalaxy as ag
from astrogalaxy.config import RecipeConfig, commented_yaml, pipelines_folder, read_recipe
from astrogalaxy.training import train as training

SIDE, WHOLE = 160, 512
# The bands of the quickstart field that play those of a survey.
PARTS = {"g": "g", "r": "r", "i": "i", "z": "i"}
PLAYED = {
    "hst": {"f606w": "g", "f814w": "r"},
    "jwst": {"f115w": "g", "f150w": "r", "f277w": "i", "f444w": "i"},
    "euclid": {"VIS": "g", "Y": "r", "J": "i", "H": "i"},
    "ztf": {"g": "g", "r": "r"},
}


def sky(band: str, side: int = SIDE) -> tuple[np.ndarray, fits.Header]:
    """A corner of the quickstart field, in nanomaggies."""
    path = pipelines_folder() / "quickstart" / f"quickstart-{PARTS[band]}.fits"
    data, header = fits.getdata(path, header=True)
    keys = ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2", "PC1_1", "PC2_2", "RADESYS")
    return np.array(data[:side, :side], "f4"), fits.Header({key: header[key] for key in keys if key in header})


def sdss(folder: Path, field: str = "003918-3-0213") -> None:
    for band in "gri":
        data, header = sky(band)
        table = fits.BinTableHDU.from_columns([fits.Column("ALLSKY", "4E", array=np.ones((1, 4)))])
        buffer = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(data, header), fits.ImageHDU(np.ones(SIDE, "f4")), table]).writeto(buffer)
        (folder / f"frame-{band}-{field}.fits.bz2").write_bytes(bz2.compress(buffer.getvalue()))


def legacy(folder: Path) -> None:
    for band in "grz":
        data, header = sky(band)
        noise = 1.48 * np.median(np.abs(data - np.median(data)))
        for kind, values in (("image", data), ("invvar", np.full(data.shape, noise**-2, "f4"))):
            hdu = fits.CompImageHDU(values, header, compression_type="RICE_1", quantize_level=-noise / 64)
            hdu.writeto(folder / f"legacysurvey-1498p020-{kind}-{band}.fits.fz")


def panstarrs(folder: Path) -> None:
    for band in "gri":
        data, header = sky(band)
        header.update(EXPTIME=700.0, BOFFSET=1.5, BSOFTEN=120.0)
        flux = data * 10 ** (0.4 * (25 + 2.5 * np.log10(700) - 22.5))
        values = np.arcsinh((flux - 1.5) / 240) * 2.5 / np.log(10)
        name = f"rings.v3.skycell.1784.059.stk.{band}.unconv.fits"
        fits.CompImageHDU(values.astype("f4"), header, quantize_level=-1e-4).writeto(folder / name)


def hsc(folder: Path) -> None:
    for band in "gri":
        data, header = sky(band)
        data = (data * 10 ** (0.4 * (27.0 - 22.5))).astype("f4")
        planes = [fits.ImageHDU(data, header), fits.ImageHDU(np.full(data.shape, 32, "i4"), header)]
        planes.append(fits.ImageHDU(np.ones(data.shape, "f4"), header))
        fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(folder / f"calexp-HSC-{band.upper()}-9813-4,4.fits")


@pytest.fixture(scope="module")
def expected() -> ag.SourceCatalog:
    """What the corner holds."""
    return ag.detect(ag.Image.read({band: sky(band) for band in "gri"}, zeropoint=22.5))


@pytest.mark.parametrize("write", [sdss, legacy, panstarrs, hsc])
def test_it_runs_on_files_of_the_survey(
    write: Callable[[Path], None], expected: ag.SourceCatalog, tmp_path: Path
) -> None:
    write(tmp_path)
    text = commented_yaml(write.__name__).replace("workers: auto", "workers: 1")
    (tmp_path / "survey.yml").write_text(text, encoding="utf-8")
    catalog = ag.run(tmp_path / "survey.yml")
    assert len(catalog) > 0.7 * len(expected)
    index, apart, _ = expected.coords.match_to_catalog_sky(catalog.coords)
    same = (apart.arcsec < 0.5) & (expected["snr"] > 20) & (expected["flags"] == 0)
    assert same.sum() > 5
    # the zero point is that of the survey: magnitudes are those of the same sky in nanomaggies
    offset = np.median(catalog["mag_r"][index[same]] - expected["mag_r"][same])
    assert abs(offset) < 0.03
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.fixture(scope="module")
def whole() -> ag.SourceCatalog:
    """What the field holds: a corner has too few bright pixels to show that a map has the noise of sources, too."""
    return ag.detect(ag.Image.read({band: sky(band, WHOLE) for band in "gri"}, zeropoint=22.5))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_fluxes_and_classes_of_a_survey(name: str, whole: ag.SourceCatalog, tmp_path: Path) -> None:
    """The same sky in the survey's unit, with its masks and maps: every band has its fluxes, and sources their class."""
    played = PLAYED.get(name, {band: band for band in "gri"})
    parts = {}
    for band, part in played.items():
        data, header = sky(part, WHOLE)
        # of differences, in which the light of sources matters little
        parts[band] = Part(data, header, 1.4826 / np.sqrt(2) * np.median(np.abs(np.diff(data))))
    LAYOUTS[name](tmp_path, parts)
    text = commented_yaml(name).replace("workers: auto", "workers: 1")
    (tmp_path / "survey.yml").write_text(text, encoding="utf-8")
    catalog = ag.run(tmp_path / "survey.yml")
    assert 0.9 * len(whole) < len(catalog) < 1.1 * len(whole)
    index, apart, _ = whole.coords.match_to_catalog_sky(catalog.coords)
    same = (apart.arcsec < 0.5) & (whole["snr"] > 20) & (whole["flags"] == 0) & (whole["x"] > EMPTY + 20)
    assert same.sum() > 50
    found, told = catalog[index[same]], whole[same]
    for band, part in played.items():
        assert np.median(found[f"flux_{band}"] / told[f"flux_{part}"]) == pytest.approx(1, abs=0.01), band
        # in the same aperture it is the same light
        mine, theirs = (np.asarray(one) for one in (found[f"flux_aper_{band}"], told[f"flux_aper_{part}"]))
        error = np.asarray(told[f"flux_aper_{part}_err"])
        assert np.mean(abs(mine - theirs) < 0.002 * theirs + 0.3 * error) > 0.9, band
    assert np.mean(found["class"] == told["class"]) > 0.95
    # flags of the survey that do no harm mask nothing
    assert np.mean(found["flags"] == 0) > 0.9


# -- recipes of detectors --------------------------------------------------------------------------

DETECTORS = sorted(path.stem for path in (pipelines_folder() / "recipes").glob("astroyolo-*.yml"))


def gz2(folder: Path) -> None:
    """A sample of Galaxy Zoo 2: round galaxies are smooth, flat ones are disks."""
    (folder / "images").mkdir(parents=True)
    y, x = np.mgrid[:64, :64] - 31.5
    rows = []
    for number in range(24):
        light = np.exp(-((x / 6) ** 2 + (y / (2 if number % 2 else 6)) ** 2) / 2)
        rgb = (230 * light[..., None] * np.array([1.0, 0.8, 0.6])).astype(np.uint8)
        Picture.fromarray(rgb).save(folder / "images" / f"{number}.jpg")
        disk = 0.9 if number % 2 else 0.1
        rows.append((number, number, "spiral" if number % 2 else "elliptical", 1 - disk, disk))
    votes = ("t01_smooth_or_features_a01_smooth", "t01_smooth_or_features_a02_features_or_disk")
    names = ["objid", "asset_id", "derived_label", *(f"{vote}_weighted_fraction" for vote in votes)]
    Table(rows=rows, names=names).write(folder / "labels.csv")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the recipes want $ASTROGALAXY_DATA to be."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "sdss").mkdir()
    for field in ("003918-3-0213", "001035-6-0017"):
        sdss(folder / "sdss", field)
    truth = Table.read(pipelines_folder() / "quickstart" / "quickstart-truth.ecsv")
    near = (truth["x"] < SIDE - 1) & (truth["y"] < SIDE - 1)
    truth["x", "y", "class"][near].write(folder / "sdss" / "003918-3-0213-truth-west.csv", format="ascii.csv")
    gz2(folder / "gz2")
    return folder


def small(name: str, directory: Path) -> RecipeConfig:
    """A detector's recipe with all its kinds of data and phases, for two steps on little of each."""
    recipe = read_recipe(pipelines_folder() / "recipes" / f"{name}.yml").model_dump(mode="json")
    parts = recipe["data"]
    less = {
        "simulation": {"scenes": 1, "validation": 1, "size": 64},
        "phosim": {"train": 1, "validation": 1, "test": 1, "size": 96},
        "galaxies": {"side": 32},
    }
    for part, settings in less.items():
        if parts[part]:
            parts[part] |= settings
    for labels in parts["labels"]:
        labels |= {"split": None, "region": [0, SIDE, 0, SIDE]}  # those of the real table
    for sky in parts["sky"]:
        sky["injections"] = 1
    recipe["model"]["start"] = None  # published weights, which tests/training/test_photographs.py reads
    recipe["training"] |= {"crop": 64, "batch": 2, "steps": 2, "warmup": 1, "workers": 0, "validate_every": 2}
    recipe["training"] |= {"normalisation": "learn", "start_share": 0.0}  # there is nothing to keep
    for phase in (recipe["training"]["schedule"] or {"phases": []})["phases"]:
        phase["samples"] = 2
    recipe["output"] = {"directory": str(directory)}
    return RecipeConfig.from_dict(recipe)


# Which between them have every kind of data; the others would only calibrate and write the same way.
TO_THE_END = ("astroyolo-nano-fields", "astroyolo-paper-frozen")


@pytest.mark.parametrize("name", DETECTORS)
def test_a_recipe_trains_on_data_laid_out_as_it_says(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTROGALAXY_DATA", str(data))
    recipe, ended = small(name, tmp_path), []
    if name not in TO_THE_END:
        monkeypatch.setattr(training, "finish", lambda recipe, network, *_, **__: ended.append(recipe.name))
    trained = training.train(recipe)
    if name in TO_THE_END:
        assert trained.weights.path == tmp_path / name / f"{name}.safetensors"
        assert trained.metrics
    else:
        assert ended == [name]
    assert list((tmp_path / name / "checkpoints").glob("*.ckpt"))
