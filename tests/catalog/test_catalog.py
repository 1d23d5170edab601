"""The table: building, checking, choosing rows, stacking."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.masked import Masked

from astrogalaxy.catalog import CatalogError, SourceCatalog, columns_for, flag_bits, provenance, source_ids

BASE = {"ra": [10.0, 20.0, 30.0], "dec": [-5.0, 0.0, 5.0]}


def build(extra=(), **settings) -> SourceCatalog:
    return SourceCatalog.from_columns(BASE | dict(extra), **({"bands": ["g", "r"]} | settings))


def test_builds_every_column_with_its_missing_value() -> None:
    catalog = build()
    contract = columns_for(["g", "r"])
    assert catalog.colnames == [column.name for column in contract]
    for column in contract:
        here = catalog[column.name]
        assert type(here) is Column
        assert here.dtype.kind == np.dtype(column.dtype).kind
        assert here.unit == (u.Unit(column.unit) if column.unit else None)
        assert here.meta["ucd"] == column.ucd and here.description == column.description
    assert np.isnan(catalog["flux_g"]).all() and np.isnan(catalog["x"]).all()
    assert set(catalog["class"]) == {"unsure"} and set(catalog["morphology"]) == {""} and set(catalog["field"]) == {""}
    assert not catalog["flags"].any()
    assert (catalog["source_id"] == source_ids(BASE["ra"], BASE["dec"])).all()
    catalog.validate()


def test_bands_calibration_and_classes_are_known_from_the_columns() -> None:
    catalog = build(calibrated=["r"], classes=["Edge-on", "merger"])
    assert catalog.bands == ("g", "r")
    assert catalog.calibrated == ("r",)
    assert catalog.classes == ("edge_on", "merger")
    assert build(bands=["image"], calibrated=False).calibrated == ()
    assert build()["ra", "dec"].bands == ()
    catalog.validate()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"flux_h": [1.0, 2, 3]}, "did you mean 'flux_g'|did you mean 'flux_r'"),
        ({"zzzz": [1.0, 2, 3]}, "'zzzz' is not one of"),
        ({"snr": [1.0, 2]}, "'snr' has 2 rows, but 'ra' has 3"),
        ({"snr": [[1.0], [2], [3]]}, "'snr' has 2 dimensions"),
        ({"snr": ["a", "b", "c"]}, "'snr' wants numbers"),
        ({"flags": [1.0, 2.0, 3.0]}, "'flags' wants whole numbers"),
        ({"flags": [1, 2, 2**40]}, "'flags' has a value that does not fit"),
        ({"class": ["star", "stars", "galaxy"]}, "'class' has the value 'stars'; allowed are 'star', 'galaxy'"),
        ({"morphology": "spiral"}, "'morphology' has the value 'spiral'"),
        ({"field": [1, 2, 3]}, "'field' wants strings"),
        ({"flux_g": [1, 2, 3] * u.m}, "'flux_g' is in nJy"),
        ({"snr": [1, 2, 3] * u.m}, "'snr' is in no unit"),
    ],
)
def test_refuses_what_does_not_fit(extra, message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        build(extra)


def test_length_must_be_known() -> None:
    assert len(SourceCatalog.from_columns({}, bands=["g"])) == 0
    with pytest.raises(CatalogError, match="at least one as an array"):
        SourceCatalog.from_columns({"ra": 1.0}, bands=["g"])


def test_converts_units_masks_scalars_and_types() -> None:
    catalog = build(
        {
            "flux_g": [1, 2, 3] * u.uJy,
            "ra_err": MaskedColumn([1.0, 2.0, 3.0], mask=[0, 1, 0], unit="mas"),
            "class": np.ma.array(["star", "star", "galaxy"], mask=[0, 1, 0]),
            "flags": np.ma.array([1, 2, 3], mask=[1, 0, 0]),
            "field": "north",
            "morphology": np.array([b"disk", b"", b"smooth"]),
            "mag_g": np.ma.array([20, 21, 22], mask=[0, 0, 1]),
        }
    )
    assert catalog["flux_g"].tolist() == [1000, 2000, 3000]
    np.testing.assert_allclose(catalog["ra_err"], [0.001, np.nan, 0.003], rtol=1e-6)
    assert catalog["class"].tolist() == ["star", "unsure", "galaxy"]
    assert catalog["flags"].tolist() == [0, 2, 3]
    assert catalog["field"].tolist() == ["north"] * 3 and catalog["field"].dtype == "U5"
    assert catalog["morphology"].tolist() == ["disk", "", "smooth"]
    np.testing.assert_array_equal(catalog["mag_g"], np.array([20, 21, np.nan], dtype="f4"))
    catalog.validate()


def test_columns_of_a_data_frame_hold_what_they_say() -> None:
    frame = pd.DataFrame({**BASE, "field": ["a", "b", "c"]}, index=[7, 3, 5])
    catalog = SourceCatalog.from_columns(dict(frame.items()), bands=["g"])
    assert catalog["ra"].tolist() == BASE["ra"] and catalog["dec"].tolist() == BASE["dec"]
    assert catalog["field"].tolist() == ["a", "b", "c"]


def test_masked_bytes_and_quantities() -> None:
    name = np.ma.array(["Andromède".encode(), b"", b"?"], mask=[0, 0, 1])
    flux = Masked([1, 2, 3] * u.uJy, mask=[False, True, False])
    catalog = build({"field": name, "flux_g": flux})
    assert catalog["field"].tolist() == ["Andromède", "", ""]
    np.testing.assert_array_equal(catalog["flux_g"], [1000, np.nan, 3000])


def test_input_is_neither_changed_nor_shared() -> None:
    ra = np.array([1.0, 2.0, 3.0])
    ra.flags.writeable = False
    meta = {"CFGHASH": "a"}
    catalog = SourceCatalog.from_columns({"ra": ra, "dec": ra}, bands=["g"], meta=meta)
    catalog["ra"][0] = 99
    catalog.meta["CFGHASH"] = "b"
    assert ra[0] == 1 and catalog["dec"][0] == 1 and meta == {"CFGHASH": "a"}


def test_fields_are_as_wide_as_their_longest(make) -> None:
    wide = np.array(["a", "bb", "c"], dtype="U400")
    assert build({"field": wide})["field"].dtype == "U2"
    assert make(0)["field"].dtype == "U2"


def test_given_source_ids_are_kept() -> None:
    assert build({"source_id": [3, 2, 1]})["source_id"].tolist() == [3, 2, 1]


def test_chooses_rows() -> None:
    catalog = build({"class": ["star", "galaxy", "galaxy"], "flags": [flag_bits("edge", "masked"), 0, 8]})
    assert catalog.stars["ra"].tolist() == [10] and catalog.galaxies["ra"].tolist() == [20, 30]
    assert catalog.flagged("masked")["ra"].tolist() == [10]
    assert catalog.flagged("blended", "edge")["ra"].tolist() == [10, 30]
    assert catalog.flagged()["ra"].tolist() == [10, 30]
    with pytest.raises(CatalogError, match="did you mean 'masked'"):
        catalog.flagged("mask")
    with pytest.raises(CatalogError, match="no column 'class'"):
        _ = catalog["ra", "dec"].stars


def test_coordinates() -> None:
    catalog = build({"ra": [10.0, np.nan, 30.0]})
    coords = catalog.coords
    assert coords.frame.name == "icrs" and coords.ra.deg[2] == 30 and coords.dec.deg[0] == -5
    assert np.isnan(coords.ra.deg[1]) and catalog["source_id"][1] == -1
    assert SourceCatalog.from_columns({}, bands=["g"]).coords.shape == (0,)


def test_class_and_metadata_survive(catalog, same) -> None:
    for part in (catalog[:], catalog[np.ones(len(catalog), bool)], catalog.copy(), pickle.loads(pickle.dumps(catalog))):
        same(part, catalog)
    part = catalog[2:4]
    assert type(part) is SourceCatalog and part.meta == catalog.meta and part.bands == catalog.bands
    part.validate()
    assert type(catalog["ra", "dec"]) is SourceCatalog
    assert repr(catalog).startswith("<SourceCatalog length=7>")
    assert "SourceCatalog" in catalog._repr_html_()


def test_stack_puts_rows_under_each_other(catalog, same) -> None:
    same(SourceCatalog.stack([catalog[:3], catalog[3:3], catalog[3:]]), catalog)
    alone = SourceCatalog.stack(iter([catalog]))
    same(alone, catalog)
    alone["ra"][0] = 0
    assert catalog["ra"][0] != 0


def test_stack_keeps_only_meta_that_is_true_of_all() -> None:
    first = build(meta={"CFGHASH": "a", "DATE": "1"})
    second = build({"field": "a long name"}, meta={"CFGHASH": "a", "DATE": "2", "X": 1})
    both = SourceCatalog.stack([first, second])
    assert both.meta == {"CFGHASH": "a"}
    assert first.meta == {"CFGHASH": "a", "DATE": "1"}
    assert both["field"].tolist() == [""] * 3 + ["a long name"] * 3
    reordered = second[second.colnames[::-1]]
    assert SourceCatalog.stack([first, reordered]).colnames == first.colnames


def test_stack_refuses_what_differs() -> None:
    with pytest.raises(CatalogError, match="no catalogue to stack"):
        SourceCatalog.stack([])
    with pytest.raises(CatalogError, match="only number 2 has the column 'flags_i'"):
        SourceCatalog.stack([build(), build(bands=["g", "r", "i"])])
    with pytest.raises(CatalogError, match="unit of column 'flux_g' is nJy in the first, None in number 2"):
        SourceCatalog.stack([build(), build(calibrated=False)])
    odd = build()
    odd["snr"] = odd["snr"].astype("f8")
    with pytest.raises(CatalogError, match="type of column 'snr' is float32"):
        SourceCatalog.stack([build(), odd])


def break_unit(catalog: SourceCatalog) -> None:
    catalog["flux_r"].unit = None


def break_ucd(catalog: SourceCatalog) -> None:
    del catalog["ra"].meta["ucd"]


def break_type(catalog: SourceCatalog) -> None:
    catalog["flags"] = catalog["flags"].astype("i8")


def break_mask(catalog: SourceCatalog) -> None:
    catalog["snr"] = MaskedColumn(catalog["snr"])


def break_description(catalog: SourceCatalog) -> None:
    catalog["a"].description = None


def break_value(catalog: SourceCatalog) -> None:
    catalog["class"][1] = "quasar"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.remove_column("theta"), "no column 'theta'"),
        (lambda c: c.remove_column("mag_r_err"), "no column 'mag_r_err'"),
        (lambda c: c.keep_columns(["ra", "dec"]), "no band"),
        (break_unit, "'flux_r' has unit None, not nJy"),
        (break_ucd, "'ra' has UCD None, not 'pos.eq.ra;meta.main'"),
        (break_type, "'flags' has type int64, not int32"),
        (break_mask, "'snr' is masked"),
        (break_description, "'a' has no description"),
        (break_value, "'class' has the value 'quasar'"),
    ],
)
def test_validate_names_what_is_wrong(damage, message: str) -> None:
    catalog = build()
    catalog["extra"] = 1
    catalog.validate()
    damage(catalog)
    with pytest.raises(CatalogError, match=message):
        catalog.validate()


def test_becomes_a_table_and_comes_back(catalog, same) -> None:
    same(SourceCatalog(Table(catalog)), catalog)


def test_provenance() -> None:
    entries = provenance(CFGHASH="ab", CREATOR="me")
    assert entries["CFGHASH"] == "ab" and entries["CREATOR"] == "me"
    assert "numpy " + np.__version__ in entries["SOFTWARE"]
    assert np.datetime64(entries["DATE"]) > np.datetime64("2024-01-01")


def test_shapes_as_apertures_of_photutils():
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (10.0, 0.5), (50.5, 50.5)
    wcs.wcs.cdelt = -1e-4, 1e-4
    columns = {"ra": [10.0, 10.001], "dec": [0.5, 0.501], "a": [2.0, 3.0], "b": [1.0, 1.0], "theta": [0.0, 90.0]}
    catalog = SourceCatalog.from_columns(columns, bands=["r"])
    first, second = (one.to_pixel(wcs) for one in catalog.sky_ellipses(2.0))
    np.testing.assert_allclose(first.positions, (49.5, 49.5), atol=1e-6)
    scale = 1e-4 * 3600
    y, x = np.mgrid[:100, :100]
    for one, along_x, along_y in ((first, 2.0, 4.0), (second, 6.0, 2.0)):
        light = one.to_mask(method="center").to_image((100, 100)) > 0
        assert np.ptp(x[light]) == pytest.approx(2 * along_x / scale, abs=1.5)
        assert np.ptp(y[light]) == pytest.approx(2 * along_y / scale, abs=1.5)
    columns["a"] = [2.0, np.nan]
    with pytest.raises(CatalogError, match="row 1 .* has no position or no shape"):
        SourceCatalog.from_columns(columns, bands=["r"]).sky_ellipses()


def test_a_data_frame_gets_back_what_it_cannot_hold() -> None:
    extra = {"mag_r": [20.0, 21, 22], "flux_r": [1.0, 2, 3], "p_edge_on": [0.1, 0.2, 0.3]}
    given = build(extra, calibrated=["r"], classes=["edge-on"], apertures=2)
    back = SourceCatalog.from_pandas(given.to_pandas())
    assert (back.bands, back.calibrated, back.classes, back.apertures) == (("g", "r"), ("r",), ("edge_on",), 2)
    for name in given.colnames:
        assert back[name].unit == given[name].unit, name
        assert back[name].meta == given[name].meta, name
    back.validate()
    part = SourceCatalog.from_pandas(given.to_pandas()[["dec", "fwhm"]].assign(mine=1.0), units={"fwhm": "pix"})
    assert [part[name].unit for name in part.colnames] == [u.deg, u.pix, None]
    other = pd.DataFrame({"p_": [1.0], "mag_Ä": ["a"], "flux_Ä": [1], "mag_Ä_err": [1], "dec": [2.0]})
    assert SourceCatalog.from_pandas(other)["dec"].unit == u.deg, "of a table that is no catalogue"


def test_a_data_frame_of_nullable_types_is_read() -> None:
    given = build({"fwhm": [1.0, np.nan, 3.0]})
    back = SourceCatalog.from_pandas(given.to_pandas().convert_dtypes())
    np.testing.assert_array_equal(back["fwhm"], [1.0, np.nan, 3.0])
    assert back["fwhm"].unit == u.arcsec
    assert list(back["class"]) == list(given["class"])
