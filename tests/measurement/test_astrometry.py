"""Positions against an external catalogue."""

from __future__ import annotations

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from astrogalaxy.catalog import SourceCatalog, flag_bits, source_ids
from astrogalaxy.config import SurveyConfig
from astrogalaxy.config.survey import AstrometrySection
from astrogalaxy.errors import ArchiveError, ConfigError
from astrogalaxy.measurement.astrometry import (
    AstrometryCheck,
    check_field,
    check_positions,
    gaia_positions,
    read_positions,
    shift_positions,
)

N = 60
EAST, NORTH = 0.15, -0.08


@pytest.fixture
def sky() -> tuple[SourceCatalog, SkyCoord]:
    """Sources across right ascension 0, off by a known amount, and where they truly are."""
    rng = np.random.default_rng(8)
    ra, dec = (rng.uniform(-0.05, 0.05, N)) % 360, 60 + rng.uniform(-0.05, 0.05, N)
    truth = SkyCoord(ra, dec, unit="deg")
    off = rng.normal(0, 0.02, (2, N)) + np.array([[EAST], [NORTH]])
    columns = {
        "ra": (ra + off[0] / 3600 / np.cos(np.radians(dec))) % 360, "dec": dec + off[1] / 3600,
        "snr": np.full(N, 50.0), "flags": np.zeros(N, int),
    }  # fmt: skip
    return SourceCatalog.from_columns(columns, bands=["r"]), truth


@pytest.mark.parametrize("frame", ["icrs", "fk5", "galactic"])
def test_offsets_are_told(sky: tuple[SourceCatalog, SkyCoord], frame: str) -> None:
    catalog, truth = sky
    check = check_positions(catalog, truth.transform_to(frame), name="truth")
    assert check.matches == N
    assert (check.ra, check.dec) == pytest.approx((EAST, NORTH), abs=4 * check.ra_err)
    assert check.ra_scatter == pytest.approx(0.02, rel=0.5)
    assert check.to_dict()["reference"] == "truth"


def test_errors_of_the_medians_are_theirs() -> None:
    rng = np.random.default_rng(9)
    ra, dec = (part.ravel() / 50 for part in np.mgrid[:8, :10])
    checks = []
    for _ in range(150):
        off = rng.normal(0, [[0.06], [0.03]], (2, len(ra))) / 3600
        columns = {"ra": ra + off[0], "dec": dec + off[1], "snr": ra * 0 + 50, "flags": np.zeros(len(ra), int)}
        checks.append(check_positions(Table(columns), SkyCoord(ra, dec, unit="deg")))
    for name in ("ra", "dec"):
        scatter = np.std([getattr(check, name) for check in checks])
        assert np.mean([getattr(check, f"{name}_err") for check in checks]) == pytest.approx(scatter, rel=0.2)


def test_only_clear_sources_that_are_each_others_nearest_count(sky: tuple[SourceCatalog, SkyCoord]) -> None:
    catalog, truth = sky
    catalog["snr"][:3] = [5.0, np.nan, 9.0]
    catalog["ra"][3], catalog["snr"][4] = np.nan, 11.0
    assert check_positions(catalog, truth).matches == N - 4
    # a second source of the reference beside each, further away, matches nobody
    double = SkyCoord(np.tile(truth.ra, 2), np.concatenate([truth.dec.deg, truth.dec.deg + 0.7 / 3600]), unit="deg")
    assert check_positions(catalog, double).matches == N - 4
    # and of two of ours beside one, the nearer
    ours = catalog[4:].copy()
    ours["dec"] -= 0.5 / 3600
    both = Table({name: np.concatenate([catalog[4:][name], ours[name]]) for name in ("ra", "dec", "snr", "flags")})
    check = check_positions(both, truth)
    assert check.matches == N - 4
    assert check.dec == pytest.approx(NORTH, abs=0.02)


def test_they_are_applied_only_when_asked(sky: tuple[SourceCatalog, SkyCoord], tmp_path: Path) -> None:
    catalog, truth = sky
    path = tmp_path / "reference.ecsv"
    Table({"RA": truth.ra.deg, "Dec": truth.dec.deg}).write(path)
    before = np.array(catalog["ra"])
    told = check_field(catalog, AstrometrySection(check=str(path)))
    assert told is not None and told["applied"] is False
    np.testing.assert_array_equal(catalog["ra"], before)
    told = check_field(catalog, AstrometrySection(check=str(path), apply=True))
    assert told is not None and told["applied"] is True
    again = check_positions(catalog, truth)
    assert abs(again.ra) < 1e-6 and abs(again.dec) < 1e-6
    assert np.median(SkyCoord(catalog["ra"], catalog["dec"], unit="deg").separation(truth).arcsec) < 0.04
    np.testing.assert_array_equal(catalog["source_id"], source_ids(catalog["ra"], catalog["dec"]))
    assert check_field(catalog, AstrometrySection()) is None


def test_few_matches_tell_and_change_nothing(sky: tuple[SourceCatalog, SkyCoord]) -> None:
    catalog, truth = sky
    check = check_positions(catalog, truth[:4])
    assert not check.known and check.matches == 4
    before = np.array(catalog["dec"])
    shift_positions(catalog, check)
    np.testing.assert_array_equal(catalog["dec"], before)
    catalog["flags"][:] = flag_bits("saturated")
    assert check_positions(catalog, truth).matches == 0


def test_a_reference_that_cannot_be_read_ends_no_run(sky: tuple[SourceCatalog, SkyCoord], tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("name,flux\na,1\n")
    with pytest.raises(ConfigError, match=r"no columns ra and dec among name, flux"):
        read_positions(path)
    with pytest.raises(ConfigError, match="no such file"):
        read_positions(tmp_path / "missing.fits")
    for name, text in (("words.csv", "ra,dec\na,b\n"), ("poles.csv", "ra,dec\n1,95\n"), ("empty", "")):
        (tmp_path / name).write_text(text)
        wrong = "is no angle|has 95 degrees|cannot be read|not known as a table"
        with pytest.raises(ConfigError, match=rf"^[^\n]*{name}[^\n]*({wrong})[^\n]*$"):
            read_positions(tmp_path / name)
    told = check_field(sky[0], AstrometrySection(check=str(path), apply=True))
    assert told is not None and "no columns" in told["error"] and "not corrected" in told["error"]


def test_gaia_without_astroquery(sky: tuple[SourceCatalog, SkyCoord], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "astroquery", None)
    with pytest.raises(ArchiveError, match=r"astrogalaxy\[archives\]"):
        gaia_positions(sky[0])


def test_gaia_is_asked_for_the_field(sky: tuple[SourceCatalog, SkyCoord], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Job:
        def get_results(self) -> Table:
            return Table({"ra": sky[1].ra.deg, "dec": sky[1].dec.deg})

    class Gaia:
        @staticmethod
        def launch_job(query: str) -> Job:
            asked.append(query)
            return Job()

    module = type(sys)("astroquery.gaia")
    module.Gaia = Gaia
    monkeypatch.setitem(sys.modules, "astroquery.gaia", module)
    told = check_field(sky[0], AstrometrySection(check="gaia"))
    assert told is not None and told["matches"] == N
    assert "gaiadr3" in asked[0] and ", 59.99" in asked[0]
    told = check_field(sky[0][:0], AstrometrySection(check="gaia", apply=True))
    assert told is not None and told["matches"] == 0
    assert len(asked) == 1, "a field without sources asks nothing"


def test_gaia_is_taken_to_the_time_of_the_image(
    sky: tuple[SourceCatalog, SkyCoord], monkeypatch: pytest.MonkeyPatch
) -> None:
    n = len(sky[1])
    motion = np.ma.masked_array(np.full(n, -100.0), np.arange(n) == 3)  # one has none
    rows = Table({"ra": sky[1].ra.deg, "dec": sky[1].dec.deg, "pmra": motion, "pmdec": -motion / 2})
    job = type("Job", (), {"get_results": lambda _: rows})
    module = type(sys)("astroquery.gaia")
    module.Gaia = type("Gaia", (), {"launch_job": staticmethod(lambda _: job())})
    monkeypatch.setitem(sys.modules, "astroquery.gaia", module)
    moved = gaia_positions(sky[0], mjd=57388.5 - 10 * 365.25)
    east, north = (part.to_value("arcsec") for part in sky[1].spherical_offsets_to(moved))
    still = np.arange(n) == 3
    np.testing.assert_allclose(east, np.where(still, 0, 1.0), atol=1e-4)
    np.testing.assert_allclose(north, np.where(still, 0, -0.5), atol=1e-4)
    assert gaia_positions(sky[0]).separation(sky[1]).arcsec.max() < 1e-6


def test_units_of_a_reference_table_count(tmp_path: Path) -> None:
    Table({"RAJ2000": [1.0, np.nan] * u.rad, "DEJ2000": [-0.5, 0.1] * u.rad}).write(tmp_path / "there.ecsv")
    known = read_positions(tmp_path / "there.ecsv")
    assert (known.ra.rad, known.dec.rad) == (pytest.approx([1.0]), pytest.approx([-0.5]))


def test_a_shift_next_to_the_pole_stays_on_the_sphere() -> None:
    catalog = Table({"ra": [10.0, 0.0], "dec": [89.9999, 10.0], "source_id": [0, 0]})
    before = SkyCoord(catalog["ra"], catalog["dec"], unit="deg")
    shift_positions(catalog, AstrometryCheck("there", 9, ra=1e-9, dec=-1.0))
    after = SkyCoord(catalog["ra"], catalog["dec"], unit="deg")
    np.testing.assert_allclose(before.separation(after).arcsec, 1.0, rtol=1e-5)
    assert np.all(catalog["dec"] <= 90) and np.all((catalog["ra"] >= 0) & (catalog["ra"] < 360))


def test_tiles_do_not_depend_on_the_check(tmp_path: Path) -> None:
    settings = {"name": "m31", "images": {"path": "m31.fits", "bands": ["r"]}}
    plain = SurveyConfig.from_dict(settings)
    checked = SurveyConfig.from_dict(settings | {"astrometry": {"check": "gaia", "apply": True}})
    assert checked.astrometry.check == "gaia"
    assert plain.science_digest() == checked.science_digest()
