"""Whole surveys, end to end, against SWarp and SExtractor on the same cores.

Real SDSS fields, unpacked, in g, r and i. In one run, one after the other and several times over, on all cores:

- ``astrogalaxy run``: reading, sky, alignment, detection, photometry, classes, catalogues (FITS and VOTable) and report. Two
  surveys are timed, of few fields and of many (the same files under many names); the wall time of a field without start-up is
  the difference of both over the difference of their numbers, and the time of the larger one has the start-up in it. Of
  several repeats the quickest counts, of every program;
- ``SWarp + SExtractor``: the bands resampled onto the grid of r (SWarp's defaults: Lanczos of order 3), then SExtractor in
  dual-image mode, found on r, once for each band, with positions, automatic, aperture and size columns; a process for each core;
- ``SExtractor``: the same without SWarp, on bands that are aligned already.

    python tests/benchmarks end-to-end --data DATA
    python tests/benchmarks end-to-end --data DATA --models default astroyolo-fine

The bars are ratios below 1 for the wall time of a field without start-up, and for the whole of the larger survey.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from bz2 import open as open_bz2
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from contest.data import add_data
from contest.programs import resample, sextract

from astrogalaxy.devices import usable_cores

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
detection: {{model: {model}}}
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
    return 0 if all(row["ratio"] >= 1 for row in rows if "SWarp" in str(row["what"])) else 1


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    add_data(parser, "sdss/frame-*.fits.bz2")
    parser.add_argument("--few", type=int, default=6, help="fields of the smaller survey")
    parser.add_argument("--many", type=int, default=50, help="fields of the larger one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["default"], help="weights, each of which is timed")
    parser.add_argument("--fields", nargs="+", default=FIELDS, help="SDSS fields: run-camcol-field")
    return parser


def measure(args: argparse.Namespace) -> list[dict[str, object]]:
    """Time everything; a row for each comparison."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = unpacked(args.data / "sdss", folder / "unpacked", args.fields)
        return _on_all_cores(args, files, folder)


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


def survey(files: dict[str, dict[str, Path]], folder: Path, n: int, workers: int, model: str = "default") -> Path:
    """A survey of so many fields, the same files under many names."""
    folder.mkdir(parents=True)
    known = list(files.items())
    for number in range(n):
        field, paths = known[number % len(known)]
        for band, path in paths.items():
            (folder / f"frame-{band}-{field}n{number:04d}.fits").symlink_to(path)
    text = SURVEY.format(workers=workers, out=folder / "out", model=model)
    (folder / "survey.yml").write_text(text)
    return folder / "survey.yml"


def run_survey(path: Path) -> None:
    """``astrogalaxy run`` from its start to its end, in a process of its own."""
    shutil.rmtree(path.parent / "out", ignore_errors=True)
    command = [sys.executable, "-m", "astrogalaxy", "run", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"astrogalaxy run failed: {done.stderr[-1000:]}")


def timed(work: Callable[[], object]) -> np.ndarray:
    """Wall time and processor time of programs that are started and waited for, seconds."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime])


def _on_all_cores(args: argparse.Namespace, files: dict, folder: Path) -> list[dict[str, object]]:
    cores = usable_cores()
    surveys = {
        (model, n): survey(files, folder / f"{number}-{n}", n, cores, model)
        for number, model in enumerate(args.models)
        for n in (args.few, args.many)
    }
    programs = {"SWarp + SExtractor": True, "SExtractor, aligned": False}
    times: dict[object, list[np.ndarray]] = {name: [] for name in (*surveys, *programs)}
    headers = {field: fits.getheader(paths[REFERENCE]) for field, paths in files.items()}
    for _ in range(args.repeats):
        for name, align in programs.items():
            work = partial(_classical, files, headers, folder / "classical", cores, align=align)
            times[name].append(timed(work))
        for name, path in surveys.items():
            times[name].append(timed(partial(run_survey, path)))
    best = {name: np.min(spent, axis=0) for name, spent in times.items()}
    return [
        _row(f"{name}, {label}", cores, spent, best[name] / len(files))
        for model in args.models
        for name in programs
        for label, spent in _of_a_field(best, model, args).items()
    ]


def _of_a_field(best: dict, model: str, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Seconds of a field with these weights, by what is counted."""
    few, many = best[model, args.few], best[model, args.many]
    with_ = "" if model == "default" else f", {model}"
    return {
        f"without start-up{with_}": (many - few) / (args.many - args.few),
        f"{args.many} fields with start-up{with_}": many / args.many,
    }


def _row(what: str, cores: int, ours: np.ndarray, theirs: np.ndarray) -> dict[str, object]:
    """Seconds of a field, of wall time and of the processors, and by how much astrogalaxy is faster."""
    return {
        "what": what, "cores": cores,
        "astrogalaxy, s": float(ours[0]), "theirs, s": float(theirs[0]), "ratio": float(theirs[0] / ours[0]),
        "astrogalaxy, processor s": float(ours[1]), "theirs, processor s": float(theirs[1]),
    }  # fmt: skip


def _classical(files: dict, headers: dict, folder: Path, processes: int, *, align: bool) -> None:
    """The programs on all fields, so many fields at a time."""

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

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(one, files))


if __name__ == "__main__":
    raise SystemExit(main())
