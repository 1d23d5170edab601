"""Whole surveys, end to end, against SWarp and SExtractor on the same cores; SEP and photutils on one core.

Real SDSS fields, unpacked, in g, r and i. In one run, one after the other and several times over, on all cores:

- ``astrogalaxy run``: reading, sky, alignment, detection, photometry, classes, catalogues (FITS and VOTable) and report. Two
  surveys are timed, of few fields and of many (the same files under many names); the wall time of a field without start-up is
  the difference of both over the difference of their numbers, and the time of the larger one has the start-up in it;
- ``SWarp + SExtractor``: the bands resampled onto the grid of r (SWarp's defaults: Lanczos of order 3), then SExtractor in
  dual-image mode, found on r, once for each band, with positions, automatic, aperture and size columns; a process for each core;
- ``SExtractor``: the same without SWarp, on bands that are aligned already.

On one core, as processor time of a field: SEP (sky, detection on the sum of the aligned bands, Kron and circular apertures and
half-light radii in three bands) and photutils (sky, segmentation, deblending, catalogue in three bands), both on aligned bands
in memory.

    python tests/benchmarks end-to-end --data DATA

The bars are ratios below 1 for the wall time of a field without start-up, and for the whole of the larger survey.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from bz2 import open as open_bz2
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import sep
from astropy.io import fits
from contest.programs import resample, sextract

BANDS, REFERENCE = ("g", "r", "i"), "r"
FIELDS = (
    "001035-6-0017", "001043-5-0025", "003184-2-0169", "003918-3-0213", "005405-6-0099", "007264-3-0111",
)  # fmt: skip
SURVEY = """
name: speed
images:
  path: "frame-{{band}}-{{field}}.fits"
  bands: [g, r, i]
  reference: r
  zeropoint: 22.5
compute: {{workers: {workers}}}
output: {{directory: "{out}", formats: [fits, votable]}}
"""
PARAMETERS = (
    "NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "ALPHA_J2000", "DELTA_J2000", "ERRA_WORLD", "ERRB_WORLD",
    "FLUX_AUTO", "FLUXERR_AUTO", "MAG_AUTO", "MAGERR_AUTO", "FLUX_APER(1)", "FLUXERR_APER(1)", "FLUX_RADIUS", "A_WORLD",
    "B_WORLD", "THETA_WORLD", "KRON_RADIUS", "FWHM_IMAGE", "CLASS_STAR", "FLAGS",
)  # fmt: skip
OPTIONS = {
    "MAG_ZEROPOINT": 22.5, "PIXEL_SCALE": 0.396, "SEEING_FWHM": 1.3, "PHOT_APERTURES": 7.6, "GAIN": 4.7, "SATUR_LEVEL": 1e9,
}  # fmt: skip


def main() -> int:
    """Print times and ratios; exit 1 if a bar is missed."""
    args = arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0])).parse_args()
    from contest.record import table

    rows = measure(args)
    print(table(rows))
    return 0 if all(row["ratio"] is None or row["ratio"] >= 1 for row in rows if "SWarp" in str(row["what"])) else 1


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    parser.add_argument("--data", type=Path, required=True, help="folder with sdss/frame-*.fits.bz2")
    parser.add_argument("--few", type=int, default=6, help="fields of the smaller survey")
    parser.add_argument("--many", type=int, default=50, help="fields of the larger one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fields", nargs="+", default=FIELDS, help="SDSS fields: run-camcol-field")
    parser.add_argument("--no-one-core", action="store_true", help="leave out SEP and photutils")
    return parser


def measure(args: argparse.Namespace) -> list[dict[str, object]]:
    """Time everything; a row for each comparison."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = unpacked(args.data / "sdss", folder / "unpacked", args.fields)
        rows = _on_all_cores(args, files, folder)
        return rows if args.no_one_core else [*rows, *_on_one_core(files)]


def unpacked(data: Path, folder: Path, fields: list[str]) -> dict[str, dict[str, Path]]:
    """The frames without compression, by field and band."""
    folder.mkdir(parents=True)
    made: dict[str, dict[str, Path]] = {}
    for field in fields:
        for band in BANDS:
            name = f"frame-{band}-{field}.fits"
            with open_bz2(data / f"{name}.bz2") as packed, (folder / name).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
            made.setdefault(field, {})[band] = folder / name
    return made


def survey(files: dict[str, dict[str, Path]], folder: Path, n: int, workers: int) -> Path:
    """A survey of so many fields, the same files under many names."""
    folder.mkdir(parents=True)
    known = list(files.items())
    for number in range(n):
        field, paths = known[number % len(known)]
        for band, path in paths.items():
            (folder / f"frame-{band}-{field}n{number:04d}.fits").symlink_to(path)
    text = SURVEY.format(workers=workers, out=folder / "out")
    (folder / "survey.yml").write_text(text)
    return folder / "survey.yml"


def run_survey(path: Path) -> float:
    """Wall time of ``astrogalaxy run`` from its start to its end."""
    shutil.rmtree(path.parent / "out", ignore_errors=True)
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "astrogalaxy", "run", str(path)], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"astrogalaxy run failed: {done.stderr[-1000:]}")
    return seconds


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_all_cores(args: argparse.Namespace, files: dict, folder: Path) -> list[dict[str, object]]:
    cores = _cores()
    few, many = (survey(files, folder / name, n, cores) for name, n in (("few", args.few), ("many", args.many)))
    programs = {"SWarp + SExtractor": True, "SExtractor, aligned": False}
    times: dict[str, list[float]] = {name: [] for name in ("few", "many", *programs)}
    headers = {field: fits.getheader(paths[REFERENCE]) for field, paths in files.items()}
    for _ in range(args.repeats):
        times["few"].append(run_survey(few))
        for name, align in programs.items():
            times[name].append(_classical(files, headers, folder / "classical", cores, align=align))
        times["many"].append(run_survey(many))
    alone = (median(times["many"]) - median(times["few"])) / (args.many - args.few)
    whole = median(times["many"]) / args.many
    rows = []
    for name in programs:
        theirs = median(times[name]) / len(files)
        for label, ours in (("without start-up", alone), (f"{args.many} fields with start-up", whole)):
            rows.append(
                {
                    "what": f"{name}, {label}",
                    "cores": cores,
                    "astrogalaxy, s": ours,
                    "theirs, s": theirs,
                    "ratio": theirs / ours,
                }
            )
    return rows


def _classical(files: dict, headers: dict, folder: Path, processes: int, *, align: bool) -> float:
    """Wall time of the programs on all fields, so many fields at a time."""

    def one(field: str) -> None:
        place = folder / field
        place.mkdir(parents=True, exist_ok=True)
        paths = files[field]
        for band in BANDS:
            image = paths[REFERENCE]
            if band != REFERENCE:
                made = f"{band}.fits"
                if align:
                    resample(place, paths[band], headers[field], made)
                image = f"{paths[REFERENCE]},{place / made}"
            sextract(place, str(image), parameters=PARAMETERS, options=OPTIONS, catalog=f"{band}.cat")

    begin = time.perf_counter()
    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(one, files))
    return time.perf_counter() - begin


def _on_one_core(files: dict[str, dict[str, Path]]) -> list[dict[str, object]]:
    """Processor time of Python's tools on a field, the median of all fields."""
    import astrogalaxy as ag

    times: dict[str, list[float]] = {"astrogalaxy": [], "SEP": [], "photutils": []}
    ag.detect(_image(next(iter(files.values()))), threads=1)  # imports and weights
    for paths in files.values():
        times["astrogalaxy"].append(_spent(lambda paths=paths: ag.detect(_image(paths), threads=1)))
        image = _image(paths)
        aligned = np.ascontiguousarray(image.aligned().snr)
        times["SEP"].append(_spent(lambda aligned=aligned: _sep(aligned)))
        times["photutils"].append(_spent(lambda aligned=aligned: _photutils(aligned)))
    ours = median(times["astrogalaxy"])
    rows = []
    for name in ("SEP", "photutils"):
        theirs = median(times[name])
        rows.append(
            {
                "what": f"{name}, aligned, one core",
                "cores": 1,
                "astrogalaxy, s": ours,
                "theirs, s": theirs,
                "ratio": theirs / ours,
            }
        )
    return rows


def _image(paths: dict[str, Path]) -> object:
    import astrogalaxy as ag

    return ag.Image.read(paths, reference=REFERENCE, zeropoint=22.5)


def _spent(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _sep(aligned: np.ndarray) -> None:
    """Sky, detection on the sum of the bands, and photometry in each."""
    sep.set_extract_pixstack(3_000_000)
    sep.set_sub_object_limit(8192)
    bands = [plane - sep.Background(plane) for plane in aligned]
    total = np.ascontiguousarray(np.sum(bands, axis=0))
    found = sep.extract(total, 1.5, err=sep.Background(total).globalrms)
    x, y, a, b, theta = (found[name] for name in ("x", "y", "a", "b", "theta"))
    theta = np.clip(theta, -np.pi / 2, np.pi / 2)
    for plane in bands:
        kron, _ = sep.kron_radius(plane, x, y, a, b, theta, 6.0)
        radius = np.maximum(2.5 * kron, 3.5)
        light, _, _ = sep.sum_ellipse(plane, x, y, a, b, theta, np.where(np.isfinite(radius), radius, 3.5), err=1.0)
        sep.sum_circle(plane, x, y, 3.8, err=1.0)
        sep.flux_radius(plane, x, y, 6.0 * a, 0.5, normflux=light)


def _photutils(aligned: np.ndarray) -> None:
    """Sky, segmentation of the sum of the bands with deblending, and a catalogue in each band."""
    from photutils.background import Background2D
    from photutils.segmentation import SourceCatalog, SourceFinder

    bands = [plane - Background2D(plane, 64).background for plane in aligned]
    total = np.sum(bands, axis=0)
    segments = SourceFinder(n_pixels=5, progress_bar=False)(total, 1.5 * np.sqrt(len(bands)))
    for plane in bands:
        catalog = SourceCatalog(plane, segments)
        for column in ("x_centroid", "kron_flux", "segment_flux"):
            getattr(catalog, column)
        catalog.flux_radius(0.5)


if __name__ == "__main__":
    raise SystemExit(main())
