"""How much of a catalogue depends on the tiles that the work is cut into, which should be nothing, and on where networks run.

Each real SDSS field is run in one piece on the processor through onnxruntime, then in tiles of several sizes and overlaps, then in
one piece elsewhere. Counted are sources that the other catalogue lacks (no closer than two pixels), and of the others those whose
position differs by more than 0.01 pixel, a flux by more than 0.1 % (and by more than 0.01 of its error), or a probability by more than
0.01. At most 0.3 % may for the sake of tiles, beside bright sources that lie beyond the overlap. Those of which a flux differs by
more than a tenth of its error, or whose class does, are counted apart. Wall times are those of detection, before and after; each
network is made ready in the first field.

    python tests/benchmarks invariance --data DATA
    python tests/benchmarks/bench_invariance.py --data DATA --tiles 512/64 512/128
    python tests/benchmarks/bench_invariance.py --data DATA --tiles --devices openvino/float32 openvino/bfloat16
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from contest.data import add_data
from scipy.spatial import cKDTree

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.config import SurveyConfig
from astrogalaxy.survey import execute

FIELDS = ("003918-3-0213", "005405-6-0099")
POSITION, FLUX, ERRORS, PROBABILITY, BOUND = 0.01, 1e-3, 0.01, 0.01, 0.003
WHOLE, DETECT = "4096/auto", "DETECT"
Rows = list[dict[str, object]]


def main() -> None:
    """Print the table."""
    args = arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0])).parse_args()
    from contest.record import table

    print(table(measure(args)))


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    add_data(parser, "sdss/frame-*.fits.bz2")
    parser.add_argument("--fields", nargs="+", default=list(FIELDS))
    parser.add_argument("--tiles", nargs="*", default=["512/auto", "512/256", "1024/auto"], help="size/overlap")
    parser.add_argument("--devices", nargs="*", default=[], help="device/precision, as in compute of a survey.yml")
    return parser


def measure(args: argparse.Namespace) -> Rows:
    """All rows; an error if more differ than may."""
    rows: Rows = []
    with tempfile.TemporaryDirectory() as name:
        for field in args.fields:
            whole = run(args.data, field, Path(name))
            rows += [compared(field, tiles, whole, run(args.data, field, Path(name), tiles)) for tiles in args.tiles]
            for place in args.devices:
                rows.append(compared(field, place, whole, run(args.data, field, Path(name), device=place)))
    if any(row["share"] > BOUND for row in rows if row["changed"] in args.tiles):
        msg = f"more than {BOUND:.1%} of the sources differ: {rows}"
        raise SystemExit(msg)
    return rows


def run(data: Path, field: str, folder: Path, tiles: str = WHOLE, device: str = "cpu/float32") -> SourceCatalog:
    """Catalogue of a field in tiles of ``size/overlap``, by networks on ``device/precision``."""
    size, overlap = tiles.split("/")
    where, precision = device.split("/")
    images = {
        "path": str(data / "sdss" / f"frame-{{band}}-{field}.fits.bz2"),
        "bands": ["g", "r", "i"],
        "zeropoint": 22.5,
    }
    config = {
        "name": "tiles",
        "images": {**images, "reference": "r"},
        "tiles": {"size": int(size), "overlap": overlap if overlap == "auto" else int(overlap)},
        "compute": {"workers": 1, "device": where, "precision": precision},
        "output": {"directory": str(folder / field / tiles.replace("/", "-") / device), "formats": ["fits"]},
    }
    summary = execute(SurveyConfig.from_dict(config))
    catalog = summary.catalog
    assert catalog is not None
    catalog.meta[DETECT] = json.loads((summary.directory / "run.json").read_text())["seconds"]["detect"]
    return catalog


def compared(field: str, changed: str, whole: SourceCatalog, cut: SourceCatalog) -> dict[str, object]:
    """What differs between two catalogues of a field."""
    points = [np.column_stack([catalog["x"], catalog["y"]]) for catalog in (whole, cut)]
    gap, other = cKDTree(points[1]).query(points[0])
    lost = int((gap > 2).sum() + (cKDTree(points[0]).query(points[1])[0] > 2).sum())
    one, two = whole[gap <= 2], cut[other[gap <= 2]]
    moved = np.hypot(one["x"] - two["x"], one["y"] - two["y"]) > POSITION
    flux, matters = np.zeros(len(one), dtype=bool), one["class"] != two["class"]
    for band in whole.bands:
        change = np.abs(one[f"flux_{band}"] - two[f"flux_{band}"])
        flux |= (change > FLUX * np.abs(one[f"flux_{band}"])) & (change > ERRORS * one[f"flux_{band}_err"])
        matters |= change > 0.1 * one[f"flux_{band}_err"]
    names = ("det_score", "p_galaxy", "p_disk")
    unsure = np.any([np.abs(one[name] - two[name]) > PROBABILITY for name in names], axis=0)
    differ = lost + int((moved | flux | unsure).sum())
    return {
        "field": field, "changed": changed, "sources": len(whole), "lost or new": lost, "moved": int(moved.sum()),
        "flux": int(flux.sum()), "probability": int(unsure.sum()), "share": differ / max(len(whole), 1),
        "beyond a tenth of an error": int(matters.sum()),
        "before, s": whole.meta[DETECT], "after, s": cut.meta[DETECT],
    }  # fmt: skip


if __name__ == "__main__":
    main()
