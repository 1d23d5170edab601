"""Processor time of a field on one core, against the tools of Python: SEP and photutils.

Real SDSS fields, unpacked, in g, r and i; the median of all fields. ``ag.detect`` reads, measures the sky, aligns, detects, measures
and classifies. SEP (sky, detection on the sum of the bands, Kron and circular apertures and half-light radii in each band) and
photutils (sky, segmentation with deblending, for which it wants scikit-image, and a catalogue in each band) are given aligned bands in
memory.

    python tests/benchmarks one-core --data DATA
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import sep
from bench_end_to_end import FIELDS, REFERENCE, unpacked
from contest.data import add_data

#: Left out unless asked for: photutils takes minutes for its blends.
CROWDED = "005405-6-0099"


def main() -> None:
    """Print the table."""
    from contest.record import table

    print(table(measure(arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0])).parse_args())))


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    add_data(parser, "sdss/frame-*.fits.bz2")
    usual = [field for field in FIELDS if field != CROWDED]
    parser.add_argument("--fields", nargs="+", default=usual, help="SDSS fields: run-camcol-field")
    return parser


def measure(args: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each of the other tools."""
    with tempfile.TemporaryDirectory() as name:
        return _on_one_core(unpacked(args.data / "sdss", Path(name) / "unpacked", args.fields))


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
    spent = {name: median(values) for name, values in times.items()}
    ours = spent.pop("astrogalaxy")
    return [
        {"what": name, "astrogalaxy, processor s": ours, "theirs, processor s": theirs, "ratio": theirs / ours}
        for name, theirs in spent.items()
    ]


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

    # in crowds more of each box is clipped than is allowed by default
    bands = [plane - Background2D(plane, 64, exclude_percentile=50).background for plane in aligned]
    total = np.sum(bands, axis=0)
    segments = SourceFinder(n_pixels=5, progress_bar=False)(total, 1.5 * np.sqrt(len(bands)))
    for plane in bands:
        catalog = SourceCatalog(plane, segments)
        for column in ("x_centroid", "kron_flux", "segment_flux"):
            getattr(catalog, column)
        catalog.flux_radius(0.5)


if __name__ == "__main__":
    main()
