"""Catalogues, truth tables and position tables that are damaged or hostile: a clear error or a table, nothing else."""

from __future__ import annotations

import gzip
import io
import pickle
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from damage import Damage, damages, fuzz
from hypothesis import example, given
from hypothesis import strategies as st

from astrogalaxy.catalog import CatalogError, SourceCatalog, provenance
from astrogalaxy.errors import AstrogalaxyError, ConfigError
from astrogalaxy.evaluation.truth import read_truth
from astrogalaxy.images.archives.targets import read_positions
from astrogalaxy.survey.positions import read_sky

# astropy leaves some files open that it cannot read
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

FORMATS = ["fits", "votable", "ecsv", "parquet"]


@pytest.fixture(scope="module")
def files() -> Callable[[str], bytes]:
    """A small catalogue in each format."""
    n = 5
    columns = {"ra": np.linspace(1, 2, n), "dec": np.zeros(n), "field": ["a", "", "b,c", '"', "é"], "snr": np.arange(n)}
    catalog = SourceCatalog.from_columns(columns, bands=["g"], meta=provenance(CFGHASH="0" * 64))
    catalog["spectrum"] = np.arange(10.0).reshape(n, 2)
    result = {}
    for form in FORMATS:
        stream = io.BytesIO()
        catalog.write(stream, format=form)
        result[form] = stream.getvalue()
    plain = io.BytesIO()
    Table(catalog["ra", "dec", "field"]).write(plain, format="votable", tabledata_format="tabledata")
    result["votable-rows"] = plain.getvalue()
    result["votable-gz"] = gzip.compress(result["votable"])
    return result.__getitem__


@pytest.mark.parametrize("kind", [*FORMATS, "votable-rows", "votable-gz"])
@fuzz
@given(damage=damages())
def test_a_damaged_catalogue_is_refused_or_read(
    files: Callable[[str], bytes], tmp_path: Path, kind: str, damage: Damage
) -> None:
    path = tmp_path / "damaged.dat"
    path.write_bytes(damage(files(kind)))
    try:
        catalog = SourceCatalog.read(path, format=kind.partition("-")[0])
    except CatalogError as error:
        assert "damaged.dat" in str(error)
        assert len(str(error).splitlines()) == 1
    else:
        assert type(catalog) is SourceCatalog


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("ecsv", b"# ---\n", b"# --- !!python/object/apply:os.mkdir [pwned]\n# \n"),
        ("ecsv", b"# datatype:", b"# nothing:"),
        ("ecsv", b"# %ECSV 1.0\n# ---", b"# %ECSV 1.0\n# --- 7"),
        ("ecsv", b"datatype: float64", b"datatype: object"),
        ("ecsv", b"CREATOR:", b"A: &a [x, x]\n#   B: &b [*a, *a]\n#   CREATOR:"),
        ("fits", b"NAXIS1  =", b"NAXIS1  = -"),
        ("fits", b"NAXIS2  =                    5", b"NAXIS2  =            999999999"),
        ("fits", b"TTYPE1  = 'source_id'", b"TTYPE1  =        'source_id'"),
        ("fits", b"TFORM1  = 'K       '", b"TFORM1  = '999999999K'"),
        ("votable", b"<TABLE", b"<TABLE nrows='99999999999'"),
        ("votable-rows", b"<TABLE", b"<TABLE nrows='99999999999'"),
    ],
)
def test_a_forged_catalogue_is_refused_or_read(
    files: Callable[[str], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, old: bytes, new: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = files(kind)
    assert old in whole
    path = tmp_path / "forged.dat"
    path.write_bytes(whole.replace(old, new, 1))
    try:
        SourceCatalog.read(path, format=kind.partition("-")[0])
    except CatalogError as error:
        assert "forged.dat" in str(error)
        assert len(str(error).splitlines()) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["forged.dat"]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "laughs": f'<!DOCTYPE V [<!ENTITY l0 "ha">{LAUGHS}]>',
    "quadratic": f'<!DOCTYPE V [<!ENTITY l9 "{"ha" * 50_000}">]>',
    "file": '<!DOCTYPE V [<!ENTITY l9 SYSTEM "file://{secret}">]>',
    "network": '<!DOCTYPE V [<!ENTITY l9 SYSTEM "http://127.0.0.1:{port}/secret">]>',
    "remote dtd": '<!DOCTYPE V SYSTEM "http://127.0.0.1:{port}/evil.dtd">',
    "parameter": '<!DOCTYPE V [<!ENTITY % e SYSTEM "http://127.0.0.1:{port}/evil.dtd"> %e;]>',
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["votable", "votable-rows"])
@pytest.mark.parametrize("reader", ["catalogue", "truth", "positions"])
def test_xml_fetches_and_unfolds_nothing(
    files: Callable[[str], bytes], tmp_path: Path, name: str, kind: str, reader: str
) -> None:
    (tmp_path / "secret").write_text("the secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        head = (
            HOSTILE[name].replace("{secret}", str(tmp_path / "secret")).replace("{port}", str(server.getsockname()[1]))
        )
        text = files(kind).decode().replace("?>", f"?>{head}", 1)
        entity = "&l9;" * (200 if name == "quadratic" else 1)
        text = text.replace("<TABLE", f"<DESCRIPTION>{entity}</DESCRIPTION><TABLE", 1) if "ENTITY l9" in head else text
        path = tmp_path / "hostile.vot"
        path.write_text(text)
        read = {"catalogue": SourceCatalog.read, "truth": read_truth, "positions": read_sky}[reader]
        try:
            result = read(path)
        except AstrogalaxyError as error:
            assert "hostile.vot" in str(error)
            assert "the secret" not in str(error)
        else:
            assert "the secret" not in repr(getattr(result, "meta", "")) + repr(result)
        with pytest.raises(BlockingIOError):
            server.accept()


def csv_of(*rows: str) -> bytes:
    return "\n".join(rows).encode()


TABLE = csv_of("ra,dec,x,y,class,visible,name", "10.5,2.25,1,2,star,True,a", "10.6,-2.5,3,4,galaxy,False,b")
odd = ["", "nan", "inf", "-", "1e999", "10:20:30", "x" * 50, '"', "\0", "é", "=1+1"]
cells = st.sampled_from(odd) | st.text(max_size=5)
#: Rows of cells that might come up in a table, quoted and not.
rows = st.lists(st.lists(cells, max_size=8).map(",".join), max_size=4).map(
    lambda lines: csv_of("ra,dec,x,y,class", *lines)
)


@pytest.mark.parametrize("reader", [read_truth, read_sky, read_positions])
@fuzz
@given(content=damages().map(lambda damage: damage(TABLE)) | rows)
@example(content=csv_of("ra,dec", "1,2", "3"))
@example(content=csv_of("ra,ra,dec", "1,2,3"))
@example(content=csv_of("RA,ra,dec", "1,2,3"))
@example(content=csv_of("ra,dec", "1,200"))
@example(content=csv_of("ra,dec", "1e400,-1e400"))
@example(content=csv_of("ra,dec"))
@example(content=csv_of("ra,dec", "inf,nan"))
@example(content=csv_of("\x0cra,dec,x,y,class", '"', "\x80"))
@example(content=csv_of("\x1ea,dec", "1,2"))
@example(content=pickle.dumps({"ra": 1}))
def test_a_table_of_positions_is_refused_or_read(tmp_path: Path, reader, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    try:
        result = reader(path)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(result) >= 0


@pytest.mark.parametrize("suffix", ["fits", "vot", "ecsv"])
@fuzz
@given(damage=damages())
def test_positions_of_damaged_catalogues(
    files: Callable[[str], bytes], tmp_path: Path, suffix: str, damage: Damage
) -> None:
    path = tmp_path / f"damaged.{suffix}"
    path.write_bytes(damage(files({"vot": "votable"}.get(suffix, suffix))))
    for reader in (read_truth, read_sky, read_positions):
        try:
            reader(path)
        except ConfigError as error:
            assert path.name in str(error)
