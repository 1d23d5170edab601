"""Memory of a worker on mosaics of growing size, plain and Rice-compressed, in tiles of one size.

A simulated SDSS-like field is laid side by side and run in one band by two workers. Memory is what a process holds itself (anonymous
pages) at its largest, watched from outside: of the workers, and of the process that started them, which joins their tiles and draws
the report. Sources are as dense in every image, and so are large galaxies, which make tiles larger.

    python tests/benchmarks mosaic --sizes 4096 20000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astrogalaxy.simulation import PROFILES, simulate_scene

PIECE, TILE, MEMORY = 1024, 2048, "2 GB"
Rows = list[dict[str, object]]


def main() -> None:
    """Print the table."""
    args = arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0])).parse_args()
    from contest.record import table

    print(table(measure(args)))


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    parser.add_argument("--sizes", nargs="+", type=int, default=[2048, 4096, 8192], help="sides in pixels")
    parser.add_argument("--rice", action="store_true", help="compressed ones too")
    return parser


def measure(args: argparse.Namespace) -> Rows:
    """All rows."""
    rows: Rows = []
    piece = simulate_scene(PROFILES["sdss"], size=PIECE, seed=3, artefacts=False).images["r"].astype(np.float32)
    for side in args.sizes:
        with tempfile.TemporaryDirectory() as name:
            plain = mosaic(Path(name) / "m-r.fits", piece, side)
            rows.append({"side": side, "file": "plain", **watched(Path(name), plain)})
            if args.rice:
                packed = Path(name) / "m-r.fits.fz"
                pixels, header = fits.getdata(plain), fits.getheader(plain)
                rice = {"compression_type": "RICE_1", "quantize_level": 16}
                fits.CompImageHDU(np.asarray(pixels, np.float32), header, **rice).writeto(packed)
                rows.append({"side": side, "file": "Rice", **watched(Path(name), packed)})
    return rows


def mosaic(path: Path, piece: np.ndarray, side: int) -> Path:
    """Write the field side by side, row by row."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (150.0, 2.0), (side / 2, side / 2)
    wcs.wcs.cdelt = -1.1e-4, 1.1e-4
    first = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side}
    stream = fits.StreamingHDU(path, fits.Header([*first.items(), *wcs.to_header().cards]))
    row = np.tile(piece, (1, -(-side // PIECE)))[:, :side]
    for start in range(0, side, PIECE):
        stream.write(np.ascontiguousarray(row[: min(PIECE, side - start)]))
    stream.close()
    return path


def watched(folder: Path, image: Path) -> dict[str, object]:
    """Memory of a run."""
    survey = folder / "survey.yml"
    survey.write_text(
        f'name: m\nimages: {{path: "{image}", bands: [r], zeropoint: 22.5}}\ntiles: {{size: {TILE}}}\n'
        f"compute: {{workers: 2, memory: {MEMORY}}}\noutput: {{directory: {folder / 'out'}, keep_tiles: false}}\n"
    )
    worker, main_process = 0.0, 0.0
    run = subprocess.Popen([sys.executable, "-m", "astrogalaxy", "run", str(survey), "-q"])
    while run.poll() is None:
        main_process = max(main_process, held(run.pid))
        worker = max([worker, *map(held, children(run.pid))])
        time.sleep(0.02)
    if run.returncode:
        msg = f"{image}: the run failed"
        raise SystemExit(msg)
    return {"worker MB": worker, "main MB": main_process}


def held(pid: int) -> float:
    """Anonymous memory of a process in MB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


def children(pid: int) -> list[int]:
    """Processes that a process has started, and theirs."""
    try:
        own = [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]
    except OSError:
        return []
    return own + [p for child in own for p in children(child)]


if __name__ == "__main__":
    main()
