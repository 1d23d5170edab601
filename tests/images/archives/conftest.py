"""A server on this machine that answers as the archives do, and fails as they do when it is told to."""

from __future__ import annotations

import bz2
import io
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astrogalaxy.config import pipelines_folder

RA, DEC = 180.0, 1.0
HTML = b"<!DOCTYPE html><html><head><title>Service unavailable</title></head><body>Try later.</body></html>"


def sky(band: str, size: int) -> tuple[np.ndarray, fits.Header]:
    """A piece of the quickstart field, with its WCS moved to (RA, DEC)."""
    data, header = fits.getdata(pipelines_folder() / "quickstart" / f"quickstart-{band}.fits", header=True)
    wcs = WCS(header)
    wcs.wcs.crval, wcs.wcs.crpix = (RA, DEC), (size / 2, size / 2)
    return np.asarray(data[:size, :size], np.float32), wcs.to_header()


def as_bytes(hdus: fits.HDUList) -> bytes:
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue()


def sdss_frame(band: str, size: int = 160) -> bytes:
    """A frame as in the archive: image, calibration vector, sky, astrometry; bzip2."""
    data, header = sky(band, size)
    header["NMGY"] = 0.005
    sky_table = fits.BinTableHDU.from_columns([fits.Column("ALLSKY", "4E", array=np.ones((1, 4)))])
    astrometry = fits.BinTableHDU.from_columns([fits.Column("RUN", "J", array=[3918])])
    vector = fits.ImageHDU(np.full(size, 0.005, np.float32))
    return bz2.compress(as_bytes(fits.HDUList([fits.PrimaryHDU(data, header), vector, sky_table, astrometry])))


def panstarrs_stack(band: str, size: int = 160) -> bytes:
    """A stack as in the archive: Rice-compressed extension, asinh pixels, old WCS keywords, a border of NaN."""
    data, header = sky(band, size)
    soft, offset = 2.0, 0.5
    values = np.arcsinh((data - offset) / (2 * soft)) / (0.4 * np.log(10))
    values[:4] = np.nan
    old = fits.Header()
    for key in ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2", "CTYPE1", "CTYPE2"):
        old[key] = header[key]
    old.update({"PC001001": 1.0, "PC001002": 0.0, "PC002001": 0.0, "PC002002": 1.0})
    old.update({"BSOFTEN": soft, "BOFFSET": offset, "EXPTIME": 1000.0})
    compressed = fits.CompImageHDU(values.astype(np.float32), old, compression_type="RICE_1", quantize_level=-1e-4)
    return as_bytes(fits.HDUList([fits.PrimaryHDU(), compressed]))


def cutout(size: int = 64) -> bytes:
    data, header = sky("r", size)
    return as_bytes(fits.HDUList([fits.PrimaryHDU(data, header)]))


class Server:
    """What it answers, what it was asked, and how often it fails first."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.faults: dict[str, list[Callable[[bytes], tuple[int, bytes]]]] = defaultdict(list)
        self.frames = [(3918, 301, 3, 213), (3918, 301, 3, 214)]
        self.url = ""

    def fail(self, part: str, *faults: Callable[[bytes], tuple[int, bytes]]) -> None:
        """Answer the next requests whose address holds `part` with these faults, one after the other."""
        self.faults[part] += faults

    def count(self, part: str) -> int:
        return sum(part in one for one in self.asked)

    def answer(self, url: str, body: str) -> tuple[int, bytes]:
        self.asked.append(url)
        status, content = self._right(urlsplit(url), body)
        for part, faults in self.faults.items():
            if part in url and faults:
                return faults.pop(0)(content)
        return status, content

    def _right(self, url, body: str) -> tuple[int, bytes]:
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        path = url.path
        if "x_results" in path:
            rows = "".join(f"{run},{rerun},{camcol},{field},40\n" for run, rerun, camcol, field in self.frames)
            return 200, f"#Table1\nrun,rerun,camcol,field,n\n{rows}".encode()
        if "/frames/" in path:
            return 200, sdss_frame(path.split("frame-")[1][0])
        if path.endswith("columnsconfig"):
            names = ("obs_collection", "dataproduct_type", "filters")
            return 200, json.dumps({name: {"text": name, "separator": ";"} for name in names}).encode()
        if path.endswith("invoke"):
            return 200, json.dumps(self._mast(json.loads(unquote(body).removeprefix("request=").strip()))).encode()
        if path.endswith("Download/file"):
            return 200, panstarrs_stack(query["uri"].split(".stk.")[1][0])
        if path.endswith("basicform.pl"):
            options = "".join(f"<option>{name}</option>" for name in ("SDSSg", "DSS2 Blue", "DSS2 Red", "DSS2 IR"))
            form = f"<form action='runquery.pl'><select name='survey' id='Optical'>{options}</select></form>"
            return 200, f"<html><body>{form}</body></html>".encode()
        if path.endswith("runquery.pl"):
            return 200, b"<html><body><a href='../../tempspace/fits/skv1.fits'>FITS</a></body></html>"
        if path.endswith(("skv1.fits", "hips2fits")):
            return 200, cutout()
        if path.startswith("/sesame"):
            return 200, b"#!N1\n%J 10.6847083 +41.2687500 = 00:42:44.33 +41:16:07.5\n%I.0 M 31\n"
        return 404, HTML

    def _mast(self, request: dict) -> dict:
        bands = "gri"
        if request["service"] == "Mast.Caom.Filtered.Position":
            rows = [
                {
                    "obsid": str(100 + i),
                    "obs_id": f"rings.v3.skycell.1334.061.stk.{b}",
                    "filters": b,
                    "target_name": "1334.061",
                }
                for i, b in enumerate(bands)
            ]
        else:
            ends = ("unconv.fits", "unconv.mask.fits", "unconv.wt.fits")
            names = [f"rings.v3.skycell.1334.061.stk.{b}.{end}" for b in bands for end in ends]
            rows = [{"productFilename": name, "dataURI": f"mast:PS1/product/{name}"} for name in names]
        fields = [{"name": name, "type": "string"} for name in rows[0]]
        paging = {"page": 1, "pageSize": 50000, "pagesFiltered": 1, "rows": len(rows)}
        return {"status": "COMPLETE", "msg": "", "data": rows, "fields": fields, "paging": paging}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """The archives, on this machine; astroquery asks it instead of them."""
    answers = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status, content = answers.answer(self.path, body)
            length = len(content)
            if status == 299:  # a connection that breaks: less comes than was announced
                status, content = 200, content[: length // 2]
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        answers.url = f"http://127.0.0.1:{http.server_address[1]}"
        _point_astroquery(monkeypatch, answers.url)
        monkeypatch.setenv("ASTROGALAXY_CACHE", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        yield answers
        http.shutdown()
        thread.join()


def _point_astroquery(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    from astroquery import sdss
    from astroquery.hips2fits import hips2fits
    from astroquery.mast import Observations
    from astroquery.skyview import SkyView

    monkeypatch.setattr(sdss.conf, "skyserver_baseurl", url)
    monkeypatch.setattr(sdss.conf, "sas_baseurl", f"{url}/sas")
    monkeypatch.setattr(hips2fits, "server", f"{url}/hips2fits")
    monkeypatch.setattr(SkyView, "URL", f"{url}/current/cgi/basicform.pl")
    monkeypatch.setattr(SkyView, "_default_form_values", None)
    portal = Observations._portal_api_connection
    monkeypatch.setattr(portal, "MAST_REQUEST_URL", f"{url}/api/v0/invoke")
    monkeypatch.setattr(portal, "COLUMNS_CONFIG_URL", f"{url}/portal/Mashup/Mashup.asmx/columnsconfig")
    monkeypatch.setattr(portal, "MAST_DOWNLOAD_URL", f"{url}/api/v0.1/Download/file")
    monkeypatch.setattr(portal, "_column_configs", {})
