"""The column registry: what must be true of every column, and of every set of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy import units as u
from astropy.io.votable.ucd import check_ucd

from astrogalaxy.catalog import (
    COLUMNS,
    CatalogError,
    class_column,
    column_rows,
    columns_for,
    ucd_of_band,
)

BANDS = ["u", "g", "r", "i", "z", "y", "J", "H", "Ks", "F606W"]
EVERY = [
    *columns_for(BANDS, classes=["Round smooth"], apertures=3),
    *columns_for(["g", "F606W"], calibrated=False, apertures=2),
]


def test_contract_order() -> None:
    names = [column.name for column in columns_for(["g", "r"], classes=["spiral"])]
    assert " ".join(names) == (
        "source_id ra dec ra_err dec_err x y x_min x_max y_min y_max field det_score p_star p_galaxy class "
        "p_smooth p_disk morphology p_spiral "
        "flux_g flux_g_err mag_g mag_g_err flux_aper_g flux_aper_g_err flux_apcor_g flux_apcor_g_err "
        "flux_psf_g flux_psf_g_err flags_g "
        "flux_r flux_r_err mag_r mag_r_err flux_aper_r flux_aper_r_err flux_apcor_r flux_apcor_r_err "
        "flux_psf_r flux_psf_r_err flags_r "
        "snr a b theta ellipticity half_light_radius radius_corr fwhm spread spread_err flags"
    )


@pytest.mark.parametrize("column", EVERY, ids=lambda c: f"{c.name}-{c.unit}")
def test_column_is_well_formed(column) -> None:
    assert check_ucd(column.ucd, check_controlled_vocabulary=True, has_colon=False)
    assert np.dtype(column.dtype)
    assert re.fullmatch(r"[EDJK]|(\d+|n)A", column.fits_format)
    # One FITS card holds 68 characters.
    assert 0 < len(column.description) <= 68
    assert column.description.isascii()
    assert "{" not in column.name + column.ucd + column.description
    if column.unit is not None:
        assert u.Unit(column.unit, format="vounit") == u.Unit(column.unit, format="fits")


def test_missing_values_fit_the_type() -> None:
    for column in EVERY:
        value = np.array([column.missing])
        cast = value.astype(column.dtype)
        assert cast.tolist() == value.tolist() or (np.isnan(value[0]) and np.isnan(cast[0]))


def test_magnitudes_and_fluxes_say_what_they_are() -> None:
    by_name = {column.name: column for column in columns_for(["g"])}
    assert by_name["flux_g"].unit == by_name["flux_aper_g_err"].unit == "nJy"
    assert by_name["mag_g"].unit == by_name["mag_g_err"].unit == "mag"
    assert "AB" in by_name["mag_g"].description and "AB" in by_name["mag_g_err"].description
    assert by_name["theta"].unit == "deg" and "east of north" in by_name["theta"].description
    assert by_name["ra_err"].unit == by_name["dec_err"].unit == "arcsec"


def test_bands_without_zero_point_have_image_units() -> None:
    by_name = {column.name: column for column in columns_for(["g", "r"], calibrated=["r"])}
    assert by_name["flux_g"].unit is None and "image units" in by_name["flux_g"].description
    assert by_name["flux_r"].unit == "nJy" and "image units" not in by_name["flux_r"].description
    assert by_name["mag_g"].unit == "mag" and "no zero point" in by_name["mag_g"].description


@pytest.mark.parametrize(
    ("band", "word"),
    [
        *[("u", "em.opt.U"), ("g", "em.opt.B"), ("V", "em.opt.V"), ("r", "em.opt.R"), ("i", "em.opt.I")],
        *[("z", "em.opt.I"), ("y", "em.opt.I"), ("Y", "em.opt.I"), ("J", "em.IR.J"), ("H", "em.IR.H")],
        *[("K", "em.IR.K"), ("F606W", None), ("image", None)],
    ],
)
def test_ucd_of_band(band: str, word: str | None) -> None:
    assert ucd_of_band(band) == word
    flux = next(column for column in columns_for([band]) if column.name == f"flux_{band}")
    assert flux.ucd == ("phot.flux" if word is None else f"phot.flux;{word}")
    assert f" {band}" in flux.description


@pytest.mark.parametrize("bands", [[], "gri", ["g", "a b"], ["g", "r-"], ["é"], [""], [1]])
def test_refuses_bands_that_make_no_column(bands) -> None:
    with pytest.raises(CatalogError, match="band"):
        columns_for(bands)


@pytest.mark.parametrize("bands", [["g", "g"], ["i", "I"], ["g", "g_err"], ["g", "aper_g"]])
def test_refuses_columns_of_one_name(bands) -> None:
    with pytest.raises(CatalogError, match="two columns would be called flux"):
        columns_for(bands)


def test_refuses_class_of_a_known_name() -> None:
    with pytest.raises(CatalogError, match="p_star"):
        columns_for(["g"], classes=["Star"])
    with pytest.raises(CatalogError, match="no ASCII letter"):
        class_column("--")


def test_refuses_calibrated_band_that_is_none() -> None:
    with pytest.raises(CatalogError, match="'z', which is not one of the bands g, r"):
        columns_for(["g", "r"], calibrated=["g", "z"])


def test_documentation_rows() -> None:
    rows = column_rows()
    assert [row[0] for row in rows] == list(COLUMNS)
    assert ("ra", "float64", "deg", "D", "pos.eq.ra;meta.main", "Right ascension, ICRS") in rows
    assert len(column_rows(columns_for(["g"]))) == len(columns_for(["g"]))
