"""Tests of astrogalaxy.measurement.measure on images whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from known_skies import SCALE, KnownBand, KnownImage, field_of, lattice, make_wcs, moffat

from astrogalaxy.catalog import columns_for, has_flags
from astrogalaxy.errors import ConfigError, ImageError
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement import Sources, measure
from astrogalaxy.measurement.photometry import circle_sums
from astrogalaxy.measurement.starlight import Starlight

FWHM = 3.3


@pytest.fixture(scope="module")
def stars() -> dict[str, object]:
    """A lattice of stars of signal to noise about 60, and what was measured of them."""
    rng = np.random.default_rng(7)
    x, y = lattice(16, 40, rng)
    flux = np.full(len(x), 900.0)
    clean = field_of((640, 640), x, y, flux)
    gain = 3.0
    noise = np.sqrt(1 + clean / gain)
    image = KnownImage.single(clean + noise * rng.normal(size=clean.shape), zeropoint=22.5, gain=gain)
    guess = Sources.around(x + rng.normal(0, 0.4, len(x)), y + rng.normal(0, 0.4, len(x)), side=12)
    return {"image": image, "x": x, "y": y, "flux": flux * 3630.78, "guess": guess, "table": measure(image, guess)}


def _single(data: np.ndarray, x: list[float], y: list[float], *, side: float = 12, **settings: object) -> dict:
    return measure(KnownImage.single(data, **settings), Sources.around(x, y, side=side))


def test_flux_is_right_and_so_is_its_error(stars: dict) -> None:
    table, truth = stars["table"], stars["flux"]
    assert np.mean(table["flux_r"] / truth) == pytest.approx(1.0, abs=0.02)
    pull = (table["flux_r"] - truth) / table["flux_r_err"]
    assert 0.8 < np.std(pull) < 1.25
    np.testing.assert_allclose(table["mag_r"], 31.4 - 2.5 * np.log10(table["flux_r"]))
    assert np.all(table["snr"] >= table["flux_r"] / table["flux_r_err"])


def test_aperture_flux_is_a_plain_sum(stars: dict) -> None:
    share = 1 - (1 + (1.5 / SCALE / (FWHM / 2 / np.sqrt(2 ** (1 / 3) - 1))) ** 2) ** -2
    ratio = stars["table"]["flux_aper_r"] / stars["flux"]
    assert np.mean(ratio) == pytest.approx(share, abs=0.01)
    pull = (ratio - np.mean(ratio)) * stars["flux"] / stars["table"]["flux_aper_r_err"]
    assert 0.8 < np.std(pull) < 1.25


def test_positions_and_their_errors(stars: dict) -> None:
    table, image = stars["table"], stars["image"]
    truth = image.bands["r"].wcs.pixel_to_world(stars["x"], stars["y"])
    east, north = truth.spherical_offsets_to(SkyCoord(table["ra"], table["dec"], unit="deg"))
    for offset, error in ((east, table["ra_err"]), (north, table["dec_err"])):
        assert np.std(offset.arcsec / error) == pytest.approx(1.0, abs=0.2)
        assert abs(np.mean(offset.arcsec)) < 0.01
    np.testing.assert_allclose(table["x"], stars["x"], atol=0.25)


def test_shapes_of_stars(stars: dict) -> None:
    table = stars["table"]
    assert np.median(table["fwhm"]) == pytest.approx(FWHM * SCALE, rel=0.05)
    half_light = FWHM * SCALE / 2 / np.sqrt(2 ** (1 / 3) - 1) * np.sqrt(np.sqrt(2) - 1)
    assert np.median(table["half_light_radius"]) == pytest.approx(half_light, rel=0.04)
    assert np.median(table["ellipticity"]) < 0.08
    assert not table["flags"].any()


def test_columns_are_those_of_the_contract(stars: dict) -> None:
    contract = {column.name for column in columns_for(["r"])}
    table = stars["table"]
    assert set(table) <= contract
    assert {name for name in contract if name.startswith(("flux_", "mag_", "ra_", "dec_"))} <= set(table)
    assert {len(values) for values in table.values()} == {256}
    assert table["flags"].dtype == np.int32


def test_order_of_the_sources_does_not_matter(stars: dict) -> None:
    turned = {name: getattr(stars["guess"], name)[::-1] for name in ("x", "y", "x_min", "x_max", "y_min", "y_max")}
    again = measure(stars["image"], Sources(**turned))
    for name, values in stars["table"].items():
        np.testing.assert_allclose(again[name][::-1], values, rtol=1e-5, atol=1e-5, err_msg=name)


def test_bands_on_other_grids_give_the_same_colours() -> None:
    rng = np.random.default_rng(3)
    x, y = lattice(6, 50, rng)
    x, y = x + 50, y + 50
    grids = {
        "g": make_wcs((460, 460), scale=0.5, rotation=30),
        "r": make_wcs((400, 400)),
        "i": make_wcs((620, 600), scale=0.32, rotation=-70, parity=1, shift=(8.3, -12.6), frame="FK5"),
    }
    sky = grids["r"].pixel_to_world(x, y)
    flux = {"g": 3000.0, "r": 6000.0, "i": 9000.0}
    bands = {}
    for name, shape in (("g", (460, 460)), ("r", (400, 400)), ("i", (620, 600))):
        px, py = grids[name].world_to_pixel(sky)
        scale = {"g": 0.5, "r": 0.4, "i": 0.32}[name]
        data = field_of(shape, px, py, flux[name], fwhm=1.5 / scale) + rng.normal(size=shape)
        bands[name] = KnownBand(name, data, wcs=grids[name], zeropoint=25.0)
    table = measure(KnownImage(bands), Sources.around(x, y, side=14))
    assert not table["flags"].any()
    for name in "gri":
        expected = flux[name] * 10 ** (0.4 * 6.4)
        assert np.median(table[f"flux_{name}"]) / expected == pytest.approx(1.0, abs=0.02), name
    for first, second in ("gr", "ri"):
        colour = table[f"mag_{first}"] - table[f"mag_{second}"]
        assert np.median(colour) == pytest.approx(-2.5 * np.log10(flux[first] / flux[second]), abs=0.01)
        aperture = -2.5 * np.log10(table[f"flux_aper_{first}"] / table[f"flux_aper_{second}"])
        assert np.median(aperture) == pytest.approx(-2.5 * np.log10(flux[first] / flux[second]), abs=0.015)


@pytest.mark.parametrize(("rotation", "parity"), [(0, -1), (40, -1), (40, 1), (155, 1)])
def test_position_angle_on_turned_and_mirrored_skies(rotation: float, parity: int) -> None:
    x, y = np.array([40.0, 100.0, 40.0, 100.0]), np.array([40.0, 40.0, 100.0, 100.0])
    angles = [0.0, 50.0, 95.0, 160.0]
    data = sum(moffat((140, 140), *place, 3e4, axis_ratio=0.5, angle=t) for *place, t in zip(x, y, angles, strict=True))
    wcs = make_wcs((140, 140), rotation=rotation, parity=parity)
    table = _single(data, x, y, side=16, wcs=wcs)
    turn = np.radians(angles)
    truth = wcs.pixel_to_world(x, y).position_angle(wcs.pixel_to_world(x + np.cos(turn), y + np.sin(turn))).deg
    np.testing.assert_allclose((table["theta"] - truth + 90) % 180 - 90, 0.0, atol=1.0)
    assert np.all(table["ellipticity"] > 0.4)
    assert np.all(table["a"] > table["b"])


@pytest.mark.parametrize("distance", [2.0, 3.0])
def test_blended_stars_keep_their_own_light(distance: float) -> None:
    rng = np.random.default_rng(5)
    x, y = lattice(6, 70, rng)
    turn = rng.uniform(0, 2 * np.pi, len(x))
    dx, dy = (distance * FWHM / 2 * part for part in (np.cos(turn), np.sin(turn)))
    x, y = np.concatenate([x - dx, x + dx]), np.concatenate([y - dy, y + dy])
    data = field_of((420, 420), x, y, 1500.0) + rng.normal(size=(420, 420))
    guess = x + rng.normal(0, 0.4, len(x)), y + rng.normal(0, 0.4, len(x))
    table = _single(data, *guess, side=10)
    ratio = table["flux_r"] / 1500.0
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.02)
    assert np.all(np.abs(ratio - 1) < 0.1)
    assert has_flags(table["flags"], "deblended").all()
    assert has_flags(table["flags"], "blended").all() == (distance == 2.0)
    assert np.percentile(np.hypot(table["x"] - x, table["y"] - y), 90) < 0.15


@pytest.mark.parametrize("distance", [1.6, 2.2])
def test_errors_hold_what_a_neighbour_may_have_got(distance: float) -> None:
    rng = np.random.default_rng(17)
    x, y = lattice(8, 60, rng)
    turn = rng.uniform(0, 2 * np.pi, len(x))
    dx, dy = (distance * FWHM * part for part in (np.cos(turn), np.sin(turn)))
    flux = 10 ** rng.uniform(3.0, 4.0, len(x))
    brighter = flux * 10 ** rng.uniform(0.0, 0.8, len(x))
    stars = field_of((480, 480), x, y, flux)
    galaxies = field_of((480, 480), x + dx, y + dy, brighter, fwhm=1.1 * FWHM, beta=2.7, axis_ratio=0.8)
    noise = rng.normal(size=stars.shape)
    jitter = rng.normal(0, 0.2, (2, 2 * len(x)))
    table = _single(stars + galaxies + noise, *(np.append([x, y], [x + dx, y + dy], axis=1) + jitter), side=10)
    truth = np.concatenate(
        [
            circle_sums(part.astype(np.float32), np.float32(1), px, py, np.full(len(x), 1.5 / SCALE))[0]
            for part, px, py in ((stars, x, y), (galaxies, x + dx, y + dy))
        ]
    )
    pull = (table["flux_aper_r"] - truth) / table["flux_aper_r_err"]
    assert 0.5 < np.median(np.abs(pull)) / 0.674 < 1.5
    assert np.mean(np.abs(pull) > 3) < 0.1


@pytest.fixture(scope="module")
def crowd() -> tuple[np.ndarray, Sources]:
    """A field in which most sources have neighbours, and first guesses."""
    rng = np.random.default_rng(23)
    x, y = rng.uniform(10, 290, (2, 220))
    data = field_of((300, 300), x, y, 10 ** rng.uniform(2.3, 4.3, len(x))) + rng.normal(size=(300, 300))
    return data, Sources.around(x + rng.normal(0, 0.3, len(x)), y + rng.normal(0, 0.3, len(x)), side=10)


def _differences(one: dict, other: dict, first: str = "r", second: str = "r") -> np.ndarray:
    """Differences of total and aperture fluxes of two bands, in units of their errors."""
    names = ("flux", "flux_aper")
    return np.abs([(other[f"{n}_{second}"] - one[f"{n}_{first}"]) / one[f"{n}_{first}_err"] for n in names])


@pytest.mark.parametrize("stars", [Starlight(), Starlight(sigma=1.65, kron=1.5)])
def test_the_same_pixels_have_the_same_light_in_any_band(crowd: tuple[np.ndarray, Sources], stars: Starlight) -> None:
    data, guess = crowd
    wcs = make_wcs(data.shape)
    bands = {name: KnownBand(name, data, wcs=wcs.deepcopy(), zeropoint=22.5, starlight=stars) for name in "gr"}
    table = measure(KnownImage(bands), guess)
    assert has_flags(table["flags"], "deblended").sum() > 100
    assert np.nanmax(_differences(table, table, "r", "g")) < 0.02


def test_rounding_of_the_pixels_does_not_decide(crowd: tuple[np.ndarray, Sources]) -> None:
    data, guess = crowd
    tables = []
    for factor in (1.0, 1.000001):
        bands = {name: KnownBand(name, factor * data, wcs=make_wcs(data.shape), zeropoint=22.5) for name in "gr"}
        tables.append(measure(KnownImage(bands), guess))
    for name in "gr":
        assert np.nanmax(_differences(*tables, name, name)) < 0.05


@pytest.mark.parametrize("distance", [17.0, 19.0, 21.0, 24.0])
def test_an_aperture_wider_than_the_box_does_not_reach_a_neighbour(distance: float) -> None:
    faint = moffat((96, 96), 40.0, 48.0, 300.0, fwhm=7.0)
    data = faint + moffat((96, 96), 40.0 + distance, 48.0, 3000.0)
    both = Sources.around([40.0, 40.0 + distance], [48.0, 48.0], side=9)
    total = measure(KnownImage.single(data), both)["flux_r"][0]
    alone = measure(KnownImage.single(faint), Sources.around([40.0], [48.0], side=9))["flux_r"][0]
    assert total == pytest.approx(alone, rel=0.15)


def test_faint_star_beside_a_bright_one() -> None:
    rng = np.random.default_rng(8)
    x, y = lattice(5, 80, rng)
    faint_x, faint_y = x + 12.0, y + 3.0
    data = field_of((400, 400), x, y, 2e4, side=78) + field_of((400, 400), faint_x, faint_y, 400.0)
    data += rng.normal(size=data.shape)
    table = _single(data, np.append(x, faint_x), np.append(y, faint_y))
    n = len(x)
    assert np.median(table["flux_r"][n:]) / 400.0 == pytest.approx(1.0, abs=0.06)
    assert np.median(table["flux_r"][:n]) / 2e4 == pytest.approx(1.0, abs=0.02)
    assert not has_flags(table["flags"][:n], "blended").any()


def test_section_changes_nothing_in_its_inside() -> None:
    rng = np.random.default_rng(9)
    x, y = rng.uniform(5, 395, (2, 180))
    image = KnownImage.single(field_of((400, 400), x, y, 10 ** rng.uniform(2, 4, 180)) + rng.normal(size=(400, 400)))
    sources = Sources.around(x, y, side=12)
    whole = measure(image, sources)
    section = Section(80, 352, 64, 320)
    part = measure(image, sources, section=section)
    inner = section.grow(-80).contains(x, y)
    assert inner.sum() > 10
    for name, values in whole.items():
        np.testing.assert_allclose(part[name][inner], values[inner], rtol=2e-3, atol=1e-3, err_msg=name)
    outside = ~section.contains(x, y)
    assert np.isnan(part["flux_r"][outside]).all()
    assert np.isfinite(part["flux_r"][~outside]).all()
    last = image.bands["r"].read[-1]
    assert last.x0 >= 80
    assert last.y1 <= 320


def test_few_sources_read_few_pixels() -> None:
    data = field_of((900, 900), [400.0], [500.0], 1000.0)
    image = KnownImage.single(data)
    measure(image, Sources.around([400.0], [500.0], side=12))
    ny, nx = image.bands["r"].read[0].shape
    assert max(ny, nx) < 200


@pytest.fixture(scope="module")
def spoilt() -> tuple[dict[str, np.ndarray], list[str]]:
    """One star each for the flags, some of them spoilt on purpose, in two bands."""
    rng = np.random.default_rng(4)
    names = ["clean", "edge", "saturated", "masked", "hidden", "no g", "lost", "nan", "far"]
    x = np.array([60.0, 2.0, 110.0, 160.0, 210.0, 260.0, 60.0, np.nan, 5000.0])
    y = np.array([60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 130.0, 60.0, 60.0])
    drawn = np.isfinite(x) & (x < 400) & (np.array(names) != "lost")
    clean = field_of((180, 320), x[drawn], y[drawn], 2000.0)
    bands = {}
    for name in "gr":
        bad, saturated = np.zeros(clean.shape, dtype=bool), np.zeros(clean.shape, dtype=bool)
        bad[58:63, 164] = True
        bad[50:71, 200:221] = True
        saturated[60, 110] = True
        if name == "g":
            bad[:, 245:275] = True
        data = clean + rng.normal(size=clean.shape) - 3 * (np.hypot(*np.mgrid[-130:50, -60:260]) < 15)
        data[bad] = np.nan
        wcs = make_wcs(clean.shape)
        bands[name] = KnownBand(name, data, wcs=wcs, zeropoint=22.5, bad=bad, saturated=saturated)
    return measure(KnownImage(bands), Sources.around(x, y, side=12)), names


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        ("clean", ()),
        ("edge", ("edge",)),
        ("saturated", ("saturated",)),
        ("masked", ("masked",)),
        ("hidden", ("masked", "missing_band", "bad_centroid")),
        ("no g", ("masked", "missing_band")),
        ("lost", ("bad_centroid",)),
        ("nan", ("missing_band", "bad_centroid")),
        ("far", ("missing_band", "bad_centroid")),
    ],
)
def test_flags(spoilt: tuple[dict[str, np.ndarray], list[str]], source: str, flags: tuple[str, ...]) -> None:
    table, names = spoilt
    value = table["flags"][names.index(source)]
    for name in ("edge", "saturated", "masked", "blended", "missing_band", "deblended", "bad_centroid"):
        assert has_flags(value, name) == (name in flags), name


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_edge_is_told_on_every_side(turns: int) -> None:
    light = np.rot90(moffat((70, 90), 5.0, 33.0, 2000.0), turns)
    y, x = np.unravel_index(np.argmax(light), light.shape)
    table = _single(light, [float(x)], [float(y)])
    assert has_flags(table["flags"], "edge").all()
    inside = np.pad(light, 20)
    assert not has_flags(_single(inside, [x + 20.0], [y + 20.0])["flags"], "edge").any()


def test_sky_that_is_left_is_taken_out_of_every_circle() -> None:
    rng = np.random.default_rng(17)
    x, y = lattice(4, 60, rng)
    data = field_of((240, 240), x, y, 900.0) + rng.normal(0, 0.1, (240, 240))
    settings = {"apertures": [1.0, 4.0, 6.0]}
    clean, lifted = (
        measure(KnownImage.single(light, noise=0.1), Sources.around(x, y, side=12), **settings)
        for light in (data, data + 0.05)
    )
    names = [name for name in clean if name.startswith("flux_aper") and not name.endswith("_err")]
    assert len(names) == 3
    for name in names:
        np.testing.assert_allclose(lifted[name], clean[name], atol=1.0, err_msg=name)


def test_spoilt_sources_keep_what_can_be_measured(spoilt: tuple[dict[str, np.ndarray], list[str]]) -> None:
    table, names = spoilt
    row = {name: {column: values[number] for column, values in table.items()} for number, name in enumerate(names)}
    truth = 2000.0 * 3630.78
    for name in ("clean", "masked", "no g", "saturated", "edge"):
        assert row[name]["flux_r"] == pytest.approx(truth, rel=0.08), name
    assert np.isnan(row["no g"]["flux_g"])
    assert np.isnan([row["hidden"][f"flux_{band}"] for band in "gr"]).all()
    assert np.isnan([row["hidden"][name] for name in ("a", "fwhm", "snr", "ra_err")]).all()
    assert (row["hidden"]["x"], row["hidden"]["y"]) == (210.0, 60.0)
    assert np.isfinite([row["hidden"]["ra"], row["hidden"]["dec"]]).all()
    assert row["lost"]["flux_r"] < 0
    assert np.isnan(row["lost"]["mag_r"])
    assert np.isnan(row["lost"]["ra_err"])
    assert row["lost"]["a"] == pytest.approx(row["lost"]["b"])
    assert np.isnan([row["nan"][name] for name in ("x", "ra", "flux_r", "snr")]).all()
    assert row["far"]["x"] == 5000.0


def test_a_wide_saturated_star_lies_in_the_middle_of_its_core() -> None:
    data = field_of((120, 120), np.array([60.3]), np.array([58.8]), 4e6)
    data = np.minimum(data, 1000.0) + np.random.default_rng(5).normal(size=data.shape)
    table = _single(data, [63.3], [56.8], side=16)
    assert has_flags(table["flags"], "saturated")[0]
    assert not has_flags(table["flags"], "bad_centroid")[0]
    np.testing.assert_allclose([table["x"][0], table["y"][0]], [60.3, 58.8], atol=0.1)
    # a given position stays, and of two in one core nobody knows whose it is
    held = Sources(*([value] for value in (63.3, 56.8, 55.0, 71.0, 49.0, 65.0)), held=np.array([True]))
    assert measure(KnownImage.single(data), held)["x"][0] == pytest.approx(63.3)
    both = _single(data, [63.3, 58.3], [56.8, 60.8], side=16)
    assert np.hypot(*(np.diff(both[name])[0] for name in "xy")) > 1


def test_band_that_does_not_reach_all_sources() -> None:
    rng = np.random.default_rng(12)
    x, y = np.array([30.0, 170.0]), np.array([50.0, 50.0])
    data = field_of((100, 200), x, y, 2000.0) + rng.normal(size=(100, 200))
    half = KnownBand("g", data[:, 100:], wcs=make_wcs((100, 100), shift=(-50.0, 0.0)), zeropoint=22.5)
    wide = KnownBand("r", data, wcs=make_wcs((100, 200)), zeropoint=22.5)
    half.wcs.wcs.crpix = [wide.wcs.wcs.crpix[0] - 100, wide.wcs.wcs.crpix[1]]
    table = measure(KnownImage({"g": half, "r": wide}), Sources.around(x, y, side=12))
    np.testing.assert_array_equal(np.isnan(table["flux_g"]), [True, False])
    np.testing.assert_array_equal(has_flags(table["flags"], "missing_band"), [True, False])
    assert table["flux_g"][1] == pytest.approx(table["flux_r"][1], rel=1e-3)
    assert np.isfinite(table["flux_r"]).all()


def test_without_wcs_lengths_need_a_pixel_scale() -> None:
    data = moffat((80, 80), 40.0, 40.0, 1000.0) + np.random.default_rng(2).normal(size=(80, 80))
    image = KnownImage({"r": KnownBand("r", data), "i": KnownBand("i", 2 * data, noise=2.0)})
    sources = Sources.around([40.4], [39.8], side=12)
    bare, scaled = measure(image, sources), measure(image, sources, pixel_scale=0.4)
    for name in ("ra", "dec", "ra_err", "a", "fwhm", "theta", "flux_aper_r", "mag_r"):
        assert np.isnan(bare[name]).all(), name
    assert bare["flux_r"][0] == pytest.approx(1000.0, rel=0.05)
    assert bare["flux_i"][0] == pytest.approx(2 * bare["flux_r"][0], rel=1e-4)
    assert np.isfinite(bare["ellipticity"]).all()
    assert scaled["fwhm"][0] == pytest.approx(FWHM * 0.4, rel=0.1)
    assert np.isfinite(scaled["flux_aper_r"]).all()
    assert np.isnan(scaled["theta"]).all()
    assert scaled["flux_r"][0] == pytest.approx(bare["flux_r"][0], rel=1e-3)


def test_band_without_wcs_and_with_another_shape_is_refused() -> None:
    data = moffat((80, 80), 40.0, 40.0, 1000.0)
    bands = {"r": KnownBand("r", data, wcs=make_wcs((80, 80))), "g": KnownBand("g", data[:60], origin="g.fits")}
    with pytest.raises(ImageError, match=r"g\.fits.*no WCS"):
        measure(KnownImage(bands), Sources.around([40.0], [40.0], side=12))


def test_no_sources_give_empty_columns() -> None:
    table = measure(KnownImage.single(np.zeros((50, 50))), Sources.around([], [], side=10))
    assert {len(values) for values in table.values()} == {0}
    assert "mag_r_err" in table


@pytest.mark.parametrize("name", ["apertures", "kron_factor", "pixel_scale"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_settings_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} must be a positive number.*, not {value}$"):
        measure(KnownImage.single(np.zeros((50, 50))), Sources.around([25.0], [25.0], side=10), **{name: value})


@pytest.mark.parametrize("value", [[], [3.0, 0.0], [[3.0]], "wide", None])
def test_apertures_must_be_positive_numbers(value: object) -> None:
    with pytest.raises(ConfigError, match="apertures must be a positive number or a list of them .*, not"):
        measure(KnownImage.single(np.zeros((50, 50))), Sources.around([25.0], [25.0], side=10), apertures=value)


@pytest.mark.parametrize("value", [3 * u.arcsec, 0.05 * u.arcmin, [3 * u.arcsec], [0.05 * u.arcmin]])
def test_apertures_have_the_unit_that_they_are_given_in(value: object) -> None:
    image = KnownImage.single(np.ones((50, 50)))
    tables = [measure(image, Sources.around([25.0], [25.0], side=10), apertures=size) for size in (3.0, value)]
    np.testing.assert_allclose(*(table["flux_aper_r"] for table in tables))


def test_apertures_must_be_angles() -> None:
    with pytest.raises(
        ConfigError, match="apertures must be a positive number or a list of them .*, not <Quantity 3. pix>"
    ):
        measure(KnownImage.single(np.ones((50, 50))), Sources.around([25.0], [25.0], side=10), apertures=3 * u.pix)


def test_noise_without_sources_is_harmless(rng: np.random.Generator) -> None:
    x, y = rng.uniform(0, 200, (2, 150))
    table = _single(rng.normal(size=(200, 200)), x, y)
    pull = table["flux_aper_r"] / table["flux_aper_r_err"]
    assert abs(np.mean(pull)) < 1.0
    assert np.isfinite(table["flux_r"]).all()
    assert np.all(table["a"] * np.sqrt(1 - 1e-9) <= 12 * SCALE)


def test_boxes_that_make_no_sense_are_replaced() -> None:
    data = moffat((80, 80), 40.0, 40.0, 1000.0)
    nan = np.full(2, np.nan)
    places = np.array([40.0, 40.2]), np.array([40.0, 40.0])
    table = measure(KnownImage.single(data), Sources(*places, nan, nan, np.array([50.0, 0.0]), np.array([60.0, 1.0])))
    assert np.isfinite(table["flux_r"]).all()


def test_tiny_image() -> None:
    table = _single(moffat((9, 9), 4.2, 4.0, 500.0, fwhm=2.5), [4.0], [4.0])
    assert table["x"][0] == pytest.approx(4.2, abs=0.1)
    assert has_flags(table["flags"], "edge").all()
