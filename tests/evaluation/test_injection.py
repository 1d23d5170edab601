"""Injection and recovery of one field, with the network and with a detector whose answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

import astrogalaxy as ag
from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.evaluation.injection import (
    Baseline,
    Injection,
    Recovery,
    Round,
    inject_and_recover,
    join,
    look,
    recover_round,
)
from astrogalaxy.images import Image
from astrogalaxy.simulation import Scene


def detect(image: Image) -> SourceCatalog:
    return ag.detect(image, device="cpu", threads=1)


@pytest.fixture(scope="module")
def recovery(starry_image: Image) -> Recovery:
    return inject_and_recover(starry_image, detect, rounds=4, seed=5)


def test_bright_sources_come_out_and_faint_ones_do_not(recovery: Recovery, starry_image: Image) -> None:
    table, depth = recovery.injected, recovery.fields[0]["depth"]
    assert recovery.reference == "r"
    assert recovery.bands == ("g", "r", "i")
    assert recovery.calibrated
    assert len(table) >= 60
    assert set(table["round"]) == {0, 1, 2, 3}
    assert set(table["field"]) == {"starry"}
    clear = table["snr"] > 40
    assert np.mean(table["found"][clear]) > 0.85
    assert np.mean(table["found"][table["mag_r"] > depth + 0.6]) < 0.5
    hit = table["found"] & clear
    assert np.median(np.hypot(table["found_x"] - table["x"], table["found_y"] - table["y"])[hit]) < 0.3
    assert np.median(np.abs(table["found_flux_r"] / table["flux_r"] - 1)[hit]) < 0.1
    assert not (table["found"] & table["confused"]).any()
    missed = table[~table["found"]]
    assert set(missed["found_class"]) == {""}
    assert np.isnan(missed["found_flux_r"]).all()


def test_injected_stars_are_as_wide_as_real_ones(recovery: Recovery) -> None:
    assert recovery.fields[0]["star_width"] == pytest.approx(1, abs=0.06)


def test_a_limit_beyond_what_was_injected_is_said_to_be_fainter(recovery: Recovery) -> None:
    magnitude = np.linspace(18, 23, 400)
    table = Table({"class": ["star"] * 400, "mag_r": magnitude, "half_light_radius": np.zeros(400)})
    table["found"] = np.arange(400) % 40 > 0
    (line,) = (line for line in replace(recovery, injected=table).lines() if line.startswith("stars"))
    beyond = "fainter than 23.0 (the faintest injected)"
    assert line == f"stars: 50 % complete at r {beyond}, 90 % at {beyond}"


def test_summary_is_plain(recovery: Recovery) -> None:
    summary = json.loads(json.dumps(recovery.summary(), allow_nan=False))
    assert summary["injected"] == len(recovery.injected)
    assert summary["found"] == int(recovery.injected["found"].sum())
    assert summary["magnitudes"] == "AB"
    assert {entry["class"] for entry in summary["limits"]} >= {"star", "galaxy"}
    assert "sources injected into one field" in recovery.lines()[0]
    field = summary["fields"][0]
    assert field["rounds"] == 4
    assert field["photon_noise"] == {"g": True, "r": True, "i": True}


def test_the_same_seed_gives_the_same_in_any_order(recovery: Recovery, starry_image: Image) -> None:
    base = look(starry_image, detect)
    again = recover_round(starry_image, base, detect, Injection(seed=5), number=2)
    first = recovery.injected[recovery.injected["round"] == 2]
    np.testing.assert_array_equal(again.injected["x"], first["x"])
    np.testing.assert_array_equal(again.injected["found"], first["found"])
    other = recover_round(starry_image, base, detect, Injection(seed=6), number=2)
    assert not np.array_equal(other.injected["x"][:5], first["x"][:5])


def threshold_detector(starry: Scene, ideal: SourceCatalog, faintest: float) -> Callable[[Image], SourceCatalog]:
    """Finds what stands out of the field's own pixels: a peak finder that knows the noise."""
    import sep

    own = {band: pixels.pixels() for band, pixels in Image.read(starry.images).bands.items()}

    def find(image: Image) -> SourceCatalog:
        pixels = image.bands["r"].pixels()
        added = np.ascontiguousarray(pixels.data - own["r"].data)
        added[pixels.bad] = 0
        found = sep.extract(added, 0.08, minarea=4)
        flux, _, _ = sep.sum_circle(added, found["x"], found["y"], 9.0)
        bright = flux > 10 ** (-0.4 * (faintest - 22.5))
        x, y = (np.concatenate([ideal[axis], found[axis][bright]]) for axis in "xy")
        sky = image.wcs.pixel_to_world(x, y)
        columns = {"x": x, "y": y, "ra": sky.ra.deg, "dec": sky.dec.deg, "det_score": np.full(len(x), 0.9)}
        for name in ("x_min", "x_max", "y_min", "y_max", "snr", "half_light_radius", "p_star", "p_galaxy", "class"):
            extra = {"snr": 60.0, "half_light_radius": 0.7, "p_star": 1.0, "class": "star"}.get(name, 0.0)
            columns[name] = np.concatenate([np.asarray(ideal[name]), np.full(bright.sum(), extra)])
        for band in "gri":
            columns[f"flux_{band}"] = np.concatenate([ideal[f"flux_{band}"], flux[bright] * 3630.78])
        return SourceCatalog.from_columns(columns, bands=["g", "r", "i"], calibrated={"g", "r", "i"})

    return find


def test_a_detector_with_a_known_limit(starry: Scene, starry_image: Image, starry_catalog: SourceCatalog) -> None:
    find = threshold_detector(starry, starry_catalog, faintest=20.0)
    result = inject_and_recover(starry_image, find, rounds=6, magnitudes=(18.5, 21.5), seed=2, density=6.0)
    (stars,) = (curve for kind, low, _, curve in result.curves if kind == "star" and np.isnan(low))
    assert stars.half.value == pytest.approx(20.0, abs=0.25)
    assert stars.width < 0.3
    called = result.classification()
    assert (called["n_galaxy"] == 0).all()
    assert (called["n_unsure"] == 0).all()


def test_one_band_of_any_name_without_zero_point(starry: Scene) -> None:
    image = Image.read({"clear": (starry.images["r"], starry.wcs["r"])})
    seen = []
    result = inject_and_recover(image, detect, rounds=1, progress=lambda *n: seen.append(n))
    assert seen == [(1, 1)]
    assert result.reference == "clear"
    assert not result.calibrated
    assert np.median(result.injected["mag_clear"]) < 5, "instrumental"
    np.testing.assert_allclose(result.injected["flux_clear"], 10 ** (-0.4 * result.injected["mag_clear"]))
    assert result.injected["found"].any()
    assert result.fields[0]["zeropoints"] == {"clear": None}


def test_bands_of_unknown_wavelength_are_refused_or_likened(starry: Scene) -> None:
    frames = {"F475W": (starry.images["g"], starry.wcs["g"]), "r": (starry.images["r"], starry.wcs["r"])}
    image = Image.read(frames, reference="r", zeropoint=22.5)
    with pytest.raises(ConfigError, match="no colours for band 'F475W'"):
        look(image, detect)
    assert look(image, detect, Injection(like={"F475W": "g"})).conditions.colours == {"F475W": "g", "r": "r"}


def test_sources_on_bad_pixels_are_not_asked_for(starry: Scene) -> None:
    frames = {b: pixels.copy() for b, pixels in starry.images.items()}
    frames["r"][:, :160] = np.nan
    image = Image.read({b: (frames[b], starry.wcs[b]) for b in frames}, zeropoint=22.5)
    base = look(image, detect)
    made = recover_round(image, base, detect, Injection(density=5.0), number=0)
    assert len(made.injected) > 5
    assert made.injected["x"].min() > 159
    good = image.shape[0] * (image.shape[1] - 160) * (image.pixel_scale / 60) ** 2
    assert base.area == pytest.approx(good)
    assert join([(base, [made])]).fields[0]["density"] == pytest.approx(5.0, rel=0.3)


def test_fields_that_lack_a_band_or_a_round(recovery: Recovery, starry_image: Image) -> None:
    base = look(starry_image, detect)
    made = recover_round(starry_image, base, detect, number=0)
    lesser = made.injected.copy()
    lesser.remove_columns(["mag_g", "flux_g", "found_flux_g", "found_flux_g_err"])
    other = Baseline("other", base.catalog, base.brief, base.false, 0.01, base.conditions, base.area)
    both = join([(base, [made]), (other, [Round(0, lesser, made.extra, 0.1)]), (base, [])])
    assert [field["name"] for field in both.fields] == ["starry", "other"]
    assert np.isnan(both.injected["mag_g"][both.injected["field"] == "other"]).all()
    assert len(both.completeness()) > 0
    assert isinstance(both.photometry(), Table), "which leaves the NaN out"
    assert both.purity()["n_catalog"][0] == len(base.catalog), "a field that is all sources tells nothing of noise"
    with pytest.raises(ImageError, match="no round of injections was done"):
        join([(base, [])])


def test_a_field_in_which_nothing_new_is_found(starry_image: Image, starry_catalog: SourceCatalog) -> None:
    result = inject_and_recover(starry_image, lambda image: starry_catalog, rounds=1)
    assert not result.injected["found"].any()
    assert result.curves == []
    assert len(result.extra) == 0
    assert result.summary()["limits"] == []
    assert isinstance(result.completeness(), Table)


def test_a_mirror_image_with_gaps_tells_nothing(starry_image: Image) -> None:
    base = look(starry_image, detect)
    made = recover_round(starry_image, base, detect, number=0)
    holes = Table({"mag": np.full(60, 24.3), "det_score": np.full(60, 0.7), "class": np.full(60, "star")})
    few = holes[:2]
    for false, free, word in ((holes, 0.9, "gaps"), (few, 0.9, "noise"), (few, 0.01, "nothing")):
        one = join([(replace(base, false=false, free=free), [made])])
        assert one.fields[0]["mirror"] == word
        assert (one.summary()["purity"] is not None) == (word == "noise")


def test_a_real_frame(shared_data: Path) -> None:
    path = shared_data / "sdss" / "frame-r-003918-3-0213.fits.bz2"
    if not path.is_file():
        pytest.skip(f"no {path}")
    result = inject_and_recover(Image.read({"r": path}, zeropoint=22.5), detect, rounds=1, magnitudes=(17.0, 21.0))
    assert result.fields[0]["point_spread"]["r"]["stars"] >= 20
    assert result.fields[0]["star_width"] == pytest.approx(1, abs=0.05)
    assert len(result.injected) > 50
    assert result.injected["found"].mean() > 0.85
