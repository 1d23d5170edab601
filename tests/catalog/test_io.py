"""What all file formats promise: equal after a round trip, whole or not there, plain errors."""

from __future__ import annotations

import csv
import io
import string
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from astrogalaxy.catalog import CatalogError, SourceCatalog, provenance
from astrogalaxy.catalog.io import ecsv
from astrogalaxy.errors import RunError
from astrogalaxy.formats import format_of

SUFFIXES = ["fits", "vot", "parquet", "ecsv"]
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def round_trip(catalog: SourceCatalog, suffix: str) -> SourceCatalog:
    form = format_of(f"x.{suffix}").name
    stream = io.BytesIO()
    catalog.write(stream, format=form)
    stream.seek(0)
    return SourceCatalog.read(stream, format=form)


NAMES = ["x.fits", "x.vot", "x.xml", "x.votable", "x.fits.gz", "x.vot.gz", "X.VOT", "x.parquet", "x.ecsv", "x.hats"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_rows", [0, 1, 500])
def test_reads_back_equal(tmp_path: Path, make, same, name: str, n_rows: int) -> None:
    catalog = make(n_rows)
    before = catalog.copy()
    catalog.write(tmp_path / name)
    same(catalog, before)
    again = SourceCatalog.read(tmp_path / name)
    if name.endswith("hats"):
        catalog = catalog[np.argsort(catalog["source_id"])]
    same(again, catalog)
    again.validate()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_instrumental_bands_stay_so(make, same, suffix: str) -> None:
    catalog = make(3, bands=["g", "r"], calibrated=["g"])
    same(round_trip(catalog, suffix), catalog)
    assert round_trip(catalog, suffix).calibrated == ("g",)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_real_provenance(make, same, suffix: str) -> None:
    catalog = make(1, meta=provenance(CFGHASH="f" * 64, WTSHASH="0" * 64, NTILES=0))
    same(round_trip(catalog, suffix), catalog)


@pytest.mark.parametrize("suffix", SUFFIXES)
@quick
@given(
    values=hnp.arrays("f8", st.integers(1, 9), elements=st.floats(width=64)),
    single=st.floats(width=32),
    flags=st.integers(0, 2**31 - 1),
    identifier=st.integers(-1, 2**63 - 1),
)
def test_numbers(make, same, suffix: str, values, single, flags, identifier) -> None:
    catalog = make(len(values), bands=["g"], classes=())
    catalog["ra"] = values
    catalog["ra"].meta["ucd"] = "pos.eq.ra;meta.main"
    catalog["mag_g"][0], catalog["flags"][-1], catalog["source_id"][0] = single, flags, identifier
    back = round_trip(catalog, suffix)
    same(back, catalog)
    # Bit for bit, so that -0.0 does not become 0.0.
    assert (np.signbit(back["ra"]) == np.signbit(catalog["ra"]))[~np.isnan(values)].all()


# Two bytes a character is all that VOTable's unicodeChar promises.
plain_text = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"), max_size=9
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@quick
@given(fields=st.lists(plain_text, min_size=1, max_size=6))
def test_field_names(make, same, suffix: str, fields: list[str]) -> None:
    catalog = make(len(fields), bands=["g"], classes=())
    width = max(2, *map(len, fields), 0) if suffix == "ecsv" else 20
    catalog.replace_column("field", catalog["field"].astype(f"U{width}"))
    catalog["field"][:] = fields
    back = round_trip(catalog, suffix)
    same(back, catalog)
    assert back["field"].tolist() == fields


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["Größe", "100%25", "trailing  ", " lead", "星系", "🌌 sky", "<a&b>'\"", ""])
def test_odd_field_names(make, suffix: str, name: str) -> None:
    catalog = make(2)
    catalog.replace_column("field", catalog["field"].astype("U12"))
    catalog["field"][0] = name
    assert round_trip(catalog, suffix)["field"].tolist() == [name, "frame-1"]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=90)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=5), scalars, max_size=3)
keys = st.text(string.ascii_uppercase + string.digits + "_-", min_size=1, max_size=9) | st.text(max_size=12)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=50, deadline=None)
@given(meta=st.dictionaries(keys, values, max_size=5))
def test_meta(suffix: str, meta: dict) -> None:
    catalog = SourceCatalog.from_columns({"ra": [1.0], "dec": [2.0]}, bands=["g"], meta=meta)["ra", "dec"]
    back = round_trip(catalog, suffix).meta
    assert back == meta
    assert {key: type(value) for key, value in back.items()} == {key: type(value) for key, value in meta.items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("key", ["TTYPE1", "TEST1", "NAXIS", "EXTNAME", "END", "COMMENT", "HISTORY", "METAJSON"])
def test_meta_under_reserved_keys(make, suffix: str, key: str) -> None:
    meta = {key: "it's & mine", "O'K": 1.5}
    assert round_trip(make(2, meta=meta), suffix).meta == meta


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_meta_of_other_kinds(make, suffix: str) -> None:
    catalog = make(1, meta={"N": np.int64(3), "X": np.float32(0.5), "T": (1, 2), "NAN": float("nan")})
    back = round_trip(catalog, suffix).meta
    assert (back["N"], back["X"], back["T"]) == (3, 0.5, [1, 2]) and np.isnan(back["NAN"])
    for key, value in {"path": Path("x"), 3: "x"}.items():
        with pytest.raises(CatalogError, match=rf"meta(\[| key ){key!r}"):
            round_trip(make(1, meta={key: value}), suffix)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_beyond_the_contract(make, same, suffix: str) -> None:
    catalog = make(3)
    catalog["good"] = [True, False, True]
    catalog["small"] = np.array([-3, 0, 3], dtype="i2")
    catalog["byte"] = np.array([0, 1, 255], dtype="u1")
    if suffix != "parquet":
        catalog["complex"] = np.array([1 + 2j, 0, np.nan])
    catalog["apertures"] = np.arange(6, dtype="f4").reshape(3, 2) * u.nJy
    catalog["cube"] = np.arange(36, dtype="i4").reshape(3, 3, 4)
    catalog["one"] = np.ones((3, 1))
    same(round_trip(catalog, suffix), catalog)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_narrow_types_are_widened(make, suffix: str) -> None:
    catalog = make(2)
    for given_type in ("i1", "u2", "u4", "f2"):
        catalog[given_type] = np.array([1, 2], dtype=given_type)
    catalog["bytes"] = np.array([b"a", "é".encode()])
    back = round_trip(catalog, suffix)
    assert [back[name].dtype.str[1:] for name in ("i1", "u2", "u4", "f2")] == ["i2", "i4", "i8", "f4"]
    assert back["bytes"].tolist() == ["a", "é"]


@pytest.mark.parametrize(("suffix", "kind"), [("fits", "U1"), ("parquet", "U1"), ("vot", "U2"), ("ecsv", "U2")])
def test_strings_of_one_character(make, suffix: str, kind: str) -> None:
    catalog = make(2)
    catalog["grade"] = np.array(["a", "b"])
    back = round_trip(catalog, suffix)["grade"]
    assert back.dtype == kind and back.tolist() == ["a", "b"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_masks(make, same, suffix: str) -> None:
    catalog = make(3)
    mask = [True, False, False]
    catalog["snr"] = MaskedColumn(catalog["snr"], mask=mask)
    catalog["class"] = MaskedColumn(np.array(["star", "star", "star"]), mask=mask)
    catalog["match"] = MaskedColumn([7, 8, 9], mask=mask)
    catalog["whole"] = MaskedColumn([True, False, True])
    back = round_trip(catalog, suffix)
    assert np.isnan(back["snr"][0]) and not isinstance(back["snr"], MaskedColumn)
    assert back["class"].tolist() == ["", "star", "star"]
    assert back["match"].mask.tolist() == mask and back["match"].tolist() == [None, 8, 9]
    assert back["whole"].tolist() == [True, False, True]
    same(round_trip(back, suffix), back)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8"])
def test_a_hole_costs_no_value(make, suffix: str, kind: str) -> None:
    limits = np.iinfo(kind)
    catalog = make(4)
    catalog["whole"] = np.array([limits.min, limits.max, 0, 1], dtype=kind)
    catalog["holed"] = MaskedColumn(catalog["whole"], mask=[False, False, False, True])
    catalog["arrays"] = MaskedColumn(np.outer([1, 1, 1, 0], catalog["whole"][:2]).astype(kind), mask=np.eye(4, 2))
    back = round_trip(catalog, suffix)
    for name in ("whole", "holed", "arrays"):
        assert back[name].dtype == kind, name
        assert back[name].tolist() == catalog[name].tolist(), name


@pytest.mark.parametrize("suffix", ["fits", "vot"])
def test_a_type_without_a_value_left_is_widened(make, suffix: str) -> None:
    catalog = make(257)
    catalog["level"] = MaskedColumn(np.arange(257) % 256, mask=np.arange(257) == 256, dtype="u1")
    back = round_trip(catalog, suffix)["level"]
    assert back.dtype == "i2" and back.tolist() == [*range(256), None]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_masked_booleans(make, same, suffix: str) -> None:
    catalog = make(3)
    catalog["good"] = MaskedColumn([True, False, True], mask=[False, False, True])
    catalog["each"] = MaskedColumn(np.eye(3, 4, dtype=bool).reshape(3, 2, 2), mask=np.eye(3, 4, 1).reshape(3, 2, 2))
    back = round_trip(catalog, suffix)
    for name in ("good", "each"):
        assert back[name].tolist() == catalog[name].tolist(), name
    same(round_trip(back, suffix), back)


@pytest.mark.parametrize("name", ["x.fits", "x.vot", "x.parquet", "x.ecsv", "x.hats"])
def test_joined_with_what_astropy_reads_from_fits(tmp_path: Path, name: str) -> None:
    other = {"ra": [1.0], "dec": [2.0], "parallax": [1.5], "id": ["DR3"], "variable": [True], "n": [3]}
    Table(other).write(tmp_path / "other.fits")
    mine = SourceCatalog.from_columns({"ra": [1.0, 5.0], "dec": [2.0, 5.0]}, bands=["r"])
    match = mine.crossmatch(Table.read(tmp_path / "other.fits"))
    assert not match.joined()["parallax"].dtype.isnative
    for keep, partners in (("pairs", 1), ("first", 2)):
        match.joined(keep=keep).write(tmp_path / name, overwrite=True)
        back = SourceCatalog.read(tmp_path / name)
        back.sort("ra")
        assert back["parallax"].tolist()[0] == 1.5 and back["parallax"].dtype == "f8"
        assert back["variable"].tolist() == [True, None][:partners] and back["n"].tolist() == [3, None][:partners]
        assert back["id"].tolist() == ["DR3", ""][:partners]


def add(name: str, values: object):
    def change(catalog: SourceCatalog) -> None:
        catalog[name] = values

    return change


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add("where", SkyCoord([1, 2], [3, 4], unit="deg")), "'where' is a SkyCoord"),
        (add("thing", np.array([{}, None])), "'thing' has type object"),
        (add("big", np.array([1, 2], dtype="u8")), "'big' has type uint64"),
        (add("names", np.array([["a", "b"], ["c", "d"]])), "'names' has type <U1 and 2 dim"),
        (add("old", MaskedColumn([1.0, 2.0], unit=u.ABmag)), "'old' has the unit mag"),
    ],
)
def test_refuses_what_a_file_cannot_hold(tmp_path: Path, make, suffix: str, change, message: str) -> None:
    catalog = make(2)
    change(catalog)
    if suffix == "ecsv" and "unit" in message:
        pytest.skip("ECSV holds any unit of astropy")
    with pytest.raises(CatalogError, match=message):
        catalog.write(tmp_path / f"x.{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_overwrites_only_when_told(tmp_path: Path, make, same, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    make(2).write(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        make(3).write(path)
    assert len(SourceCatalog.read(path)) == 2
    make(3).write(str(path), overwrite=True)
    same(SourceCatalog.read(path), make(3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_interrupted_write_leaves_the_old_file(tmp_path: Path, make, monkeypatch, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    make(2).write(path)
    old = path.read_bytes()

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    # The content is written by then, and only the flush and the rename are left.
    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(3).write(path, overwrite=True)
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_folder_is_named(tmp_path: Path, make, suffix: str) -> None:
    with pytest.raises(RunError, match=r"nowhere/x.* does not exist"):
        make(1).write(tmp_path / "nowhere" / f"x.{suffix}")


@pytest.mark.parametrize("suffix", ["fits.gz", "vot.gz", "parquet", "ecsv", "reg"])
def test_same_catalogue_gives_the_same_bytes(tmp_path: Path, make, suffix: str) -> None:
    for name in ("one", "two"):
        make(5).write(tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["x.FITS.GZ", "x.vot.Gz"])
def test_ends_of_names_compress_in_any_case(tmp_path: Path, make, same, name: str) -> None:
    make(5).write(tmp_path / name)
    assert (tmp_path / name).read_bytes()[:2] == b"\x1f\x8b"
    same(SourceCatalog.read(tmp_path / name), make(5))


def test_ecsv_is_read_block_by_block(tmp_path: Path, make, same, monkeypatch) -> None:
    catalog = make(50)
    catalog["match"] = MaskedColumn(np.arange(50), mask=np.arange(50) == 33)
    catalog["name"] = ["x" * number for number in range(50)]
    catalog["ends"] = np.arange(100.0).reshape(50, 2)
    catalog["sure"] = MaskedColumn(np.arange(50) > 20, mask=np.arange(50) == 40)
    catalog.write(tmp_path / "x.ecsv")
    whole = SourceCatalog.read(tmp_path / "x.ecsv")
    monkeypatch.setattr(ecsv, "BLOCK", 7)
    same(SourceCatalog.read(tmp_path / "x.ecsv"), whole)
    assert whole["match"].mask.sum() == whole["sure"].mask.sum() == 1 and whole["name"].dtype == "U49"


@pytest.mark.parametrize(("suffix", "form"), [("fits", "fits"), ("vot", "votable"), ("parquet", "parquet")])
def test_damaged_file_is_a_clear_error(tmp_path: Path, make, suffix: str, form: str) -> None:
    path = tmp_path / f"x.{suffix}"
    make(200).write(path)
    whole = path.read_bytes()
    for length in [0, 7, 100, *range(1000, len(whole), len(whole) // 15), len(whole) - 2880, len(whole) - 4]:
        path.write_bytes(whole[:length])
        with pytest.raises(CatalogError, match=path.name):
            SourceCatalog.read(path, format=form)


@pytest.mark.parametrize("form", ["fits", "votable", "parquet", "ecsv", "hats"])
def test_other_content_is_a_clear_error(tmp_path: Path, form: str) -> None:
    for content in (b"ra,dec\n1,2\n", b"<html><body>404</body></html>", bytes(range(256)) * 20, b"\x1f\x8bnot gzip"):
        (tmp_path / "x.dat").write_bytes(content)
        with pytest.raises(CatalogError, match=r"x\.dat"):
            SourceCatalog.read(tmp_path / "x.dat", format=form)
    with pytest.raises(FileNotFoundError):
        SourceCatalog.read(tmp_path / "none", format=form)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plain_tables_read_it_too(tmp_path: Path, make, suffix: str) -> None:
    catalog = make(20)
    catalog.write(tmp_path / f"x.{suffix}")
    table = Table.read(tmp_path / f"x.{suffix}")
    assert type(table) is Table
    assert table.colnames == catalog.colnames
    for name in catalog.colnames:
        assert table[name].unit == catalog[name].unit, name
        if catalog[name].dtype.kind == "U":
            assert [str(v) for v in np.ma.filled(table[name], "")] == catalog[name].tolist()
        else:
            filled = np.ma.filled(table[name], np.nan if catalog[name].dtype.kind == "f" else 0)
            np.testing.assert_array_equal(filled, catalog[name], err_msg=name)


def test_strings_of_ecsv_are_quoted_where_readers_of_csv_need_it(tmp_path: Path, make) -> None:
    names = ["", 'say "a"', "a,b", "two\nlines", "cr\rlf", "#1", " lead", "plain"]
    catalog = make(len(names), bands=["g"], classes=())
    catalog.replace_column("field", np.array(names))
    catalog["morphology"][:] = ""
    catalog.write(tmp_path / "x.ecsv")
    text = (tmp_path / "x.ecsv").read_bytes().decode().split("source_id,", 1)[1]
    assert text.count(',"",') == len(names) + 1, "an empty string is no hole"
    assert ",plain," in text
    table = Table.read(tmp_path / "x.ecsv")
    # astropy takes what is empty for a hole, quoted or not
    assert [str(name) for name in table["field"].filled("")][:4] == names[:4]
    rows = list(csv.DictReader(io.StringIO("source_id," + text, newline="")))
    assert [row["field"] for row in rows] == names


def test_plain_tables_keep_astropys_own_writers(tmp_path: Path, make) -> None:
    Table({"a": [1]}).write(tmp_path / "x.fits")
    assert "CHECKSUM" not in (tmp_path / "x.fits").read_text("latin-1")
    with pytest.raises(CatalogError, match="no column 'class'"):
        _ = SourceCatalog.read(tmp_path / "x.fits").stars


def test_other_formats_are_still_known_by_their_names(tmp_path: Path, make) -> None:
    catalog = make(3)
    catalog.write(tmp_path / "x.csv", format="ascii.csv")
    back = SourceCatalog.read(tmp_path / "x.csv")
    assert type(back) is SourceCatalog and back["ra"].tolist() == catalog["ra"].tolist()
