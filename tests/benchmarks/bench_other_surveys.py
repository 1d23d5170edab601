"""How far astrogalaxy carries: fewer and more bands, other pixel scales, images of surveys that it never saw.

(a) Fields like SDSS's in one, two, three and five of their bands: the same pixels, the same truth.
(b) Fields like DECam's at other pixel scales: the same sky, the same seeing and depth.
(c) Images never trained on, if ``--data`` (or ASTROGALAXY_DATA) has them: two LSST DC2 images in six bands (``dc2/``; sources to
    i = 25.5 are to be found, fainter ones neither right nor wrong), and nine small PhoSim fields of the Dark Energy Camera in
    one band (``decam-phosim/phosim-tiny/``): two or three large blended galaxies and a star each, found if nearer than 6 pixels.

Each against SEP on the same pixels, its settings chosen on tuning fields (of (c): on the other half of the images).
What counts as found is said in `contest.scores` and `contest.fields`.

    python tests/benchmarks/bench_other_surveys.py --quick
    python tests/benchmarks/bench_other_surveys.py --data ~/data --json other.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from bench_simulated_fields import header
from contest.classical import Found, run_sep, sep_settings
from contest.data import add_data
from contest.fields import Field, sky_field
from contest.scores import Judged, best_settings, bootstrap, judge, totals
from contest.tools import OURS, named, our_own, ours

import astrogalaxy as ag
from astrogalaxy.simulation import PROFILES

BANDS = {"r": "r", "g r": "r", "g r i": "r", "u g r i z": "r"}
SCALES = (0.15, 0.2, 0.262, 0.4, 0.5)
# Side of the fields of (b), arcsec.
_SIDE = 134.0
# DC2: what is to be found, and how near to an edge the labels stop.
_DC2_LIMIT, _EDGE = 25.5, 12
_DC2_BANDS = "ugrizy"


def compare(
    name: str, tuning: Sequence[Field], test: Sequence[Field], models: Mapping[str, str], *, edge: float = 0.0
) -> dict:
    """Score all tools on test fields, SEP with the settings that do best on tuning fields."""
    best, _ = best_settings(tuning, _inside(run_sep, edge), *sep_settings(), lambda t: t.completeness, rounds=1)
    judged = {
        **{tool: [_ours(f, model, edge) for f in test] for tool, model in models.items()},
        "SEP": [judge(f, _inside(run_sep, edge)(f, best)) for f in test],
    }
    return report(name, judged) | {"SEP settings": best}


def _ours(where: Field, model: str, edge: float) -> Judged:
    """Catalogue of astrogalaxy, judged."""
    return judge(where, _inside(lambda w, _: ours(w, model), edge)(where, {}))


def _inside(run, edge: float):
    """Drop what a tool finds near the edges."""

    def cut(where: Field, settings: dict) -> Found:
        found, (ny, nx) = run(where, settings), where.image.shape
        near = (found.x < edge) | (found.y < edge) | (found.x > nx - 1 - edge) | (found.y > ny - 1 - edge)
        keep = ~near if edge else np.ones(len(found.x), dtype=bool)
        return Found(found.x[keep], found.y[keep], found.rank[keep], {k: v[keep] for k, v in found.more.items()})

    return cut


def report(name: str, judged: dict[str, list[Judged]]) -> dict:
    """Print and return the scores of all tools."""
    intervals = bootstrap(judged, lambda t: t.completeness)
    scores = {tool: totals(js) for tool, js in judged.items()}
    wanted = sum(j.n_wanted for j in judged[OURS])
    right = {tool: star_galaxy(judged[tool]) for tool in our_own(judged)}
    cells = []
    for tool, t in scores.items():
        low, high, _ = intervals[tool]
        cells.append(f"{t.completeness:.3f} [{low:.3f}, {high:.3f}] AP {t.average_precision:.3f} F1 {t.best_f1:.3f}")
    print(f"  {name:22s} {wanted:5d}  " + " | ".join(cells) + f" | +- {intervals['SEP'][2]:.3f}"
          + (f" | classes {' '.join(f'{r:.3f}' for r in right.values())}" if np.isfinite(right[OURS]) else ""),
          flush=True)  # fmt: skip
    return {
        "name": name, "wanted": wanted, "tools": {tool: asdict(t) for tool, t in scores.items()}, "intervals": intervals,
        "star/galaxy": right,
    }  # fmt: skip


def star_galaxy(fields: Sequence[Judged]) -> float:
    """Mean of the shares of stars and of galaxies that astrogalaxy names rightly, of what it found."""
    galaxy, called = [], []
    for j in fields:
        if "class" in j.where.truth.colnames:
            hit = j.truth >= 0
            galaxy.append(np.asarray(j.where.truth["class"] == "galaxy")[j.truth[hit]])
            called.append(j.found.more["p_galaxy"][hit] > 0.5)
    if not galaxy:
        return float("nan")
    g, c = np.concatenate(galaxy), np.concatenate(called)
    return float((c[g].mean() + (~c[~g]).mean()) / 2)


def by_bands(args: argparse.Namespace) -> list[dict]:
    """One to five bands of the same fields."""
    print("\n(a) bands of SDSS-like fields (wanted: signal to noise of 5 in all five bands)")
    every = ("u", "g", "r", "i", "z")
    parts = {
        part: [sky_field("sdss", "normal", 100 + i, part, bands=every) for i in range(n)]
        for part, n in (("tune", args.tuning), ("test", args.fields))
    }
    rows = []
    for bands, reference in BANDS.items():
        tuning, test = ([f.with_bands(bands.split(), reference) for f in fields] for fields in parts.values())
        rows.append(compare(bands, tuning, test, args.models))
    return rows


def by_scale(args: argparse.Namespace) -> list[dict]:
    """The same sky on other pixels."""
    print("\n(b) pixel scales of DECam-like fields, arcsec")
    rows = []
    for scale in SCALES:
        size = int(_SIDE / scale)
        tuning, test = (
            [sky_field("decam", "normal", 200 + i, part, scale=scale, size=size) for i in range(n)]
            for part, n in (("tune", args.tuning), ("test", args.fields))
        )
        seeing = np.mean([f.fwhm for f in test])
        rows.append(compare(f"{scale:g} (FWHM {seeing:.1f} px)", tuning, test, args.models))
    return rows


def _real(
    name: str, image: ag.Image, truth: Table, wanted: np.ndarray, fwhm: float, scale: float, reach: float = 1.0
) -> Field:
    profile = replace(PROFILES["hsc"], pixel_scale=scale)
    return Field(name, image, truth, profile, None, fwhm, wanted, np.zeros((0, 2), int), reach)  # type: ignore[arg-type]


def read_dc2(folder: Path) -> list[Field]:
    """DC2 images; the centres of the boxes are the sources."""
    entries = json.loads((folder / "double_test.json").read_text())
    fields = []
    for entry in entries:
        cube = np.load(folder / f"{Path(entry['filename']).stem}.npy")
        boxes = np.array([a["bbox"] for a in entry["annotations"]], float)
        magnitude = np.array([a["mag_i"] for a in entry["annotations"]], float)
        truth = Table(
            {"x": boxes[:, 0] + boxes[:, 2] / 2 - 0.5, "y": boxes[:, 1] + boxes[:, 3] / 2 - 0.5, "mag_i": magnitude}
        )
        ny, nx = cube.shape[1:]
        near = np.minimum.reduce([truth["x"], truth["y"], nx - 1 - truth["x"], ny - 1 - truth["y"]]) < _EDGE
        wanted = (magnitude > 0) & (magnitude < _DC2_LIMIT) & ~near
        image = ag.Image.read(
            dict(zip(_DC2_BANDS, cube, strict=True)), reference="i", name=Path(entry["filename"]).stem
        )
        fields.append(_real(image.name, image, truth, wanted, 3.6, 0.2))
    return fields


def read_phosim(folder: Path) -> list[Field]:
    """Small PhoSim fields: an image, and the light of each source alone in a file of its own."""
    fields = []
    for one in sorted(folder.glob("set_*")):
        rows = []
        for path in sorted(one.glob("training_*.fits.gz")):
            kind = path.name.removeprefix("training_").split(".")[0].rstrip("0123456789")
            if kind in ("gal", "star"):
                light = fits.getdata(path).astype(float)
                light -= np.median(light)
                y, x = np.nonzero(light > 0.3 * light.max())
                weight = light[y, x]
                rows.append(
                    (np.average(x, weights=weight), np.average(y, weights=weight), "galaxy" if kind == "gal" else kind)
                )
        pixels = fits.getdata(one / "training_img.fits.gz").astype(np.float32)
        truth = Table(rows=rows, names=("x", "y", "class"))
        image = ag.Image.read(pixels, name=one.name, box=32)
        fields.append(_real(one.name, image, truth, np.ones(len(rows), dtype=bool), 4.0, 0.263, 6.0))
    return fields


def other_images(args: argparse.Namespace) -> list[dict]:
    """Images of others, the settings of SEP from the other half."""
    print("\n(c) images never trained on")
    rows = []
    for name, folder, read, edge in (
        ("LSST DC2, ugrizy", args.data / "dc2", read_dc2, _EDGE),
        ("DECam PhoSim, 1 band", args.data / "decam-phosim" / "phosim-tiny", read_phosim, 0),
    ):
        if not folder.is_dir():
            print(f"  {name}: not found at {folder}; left out (--data)")
            continue
        fields = read(folder)
        halves = (fields[::2], fields[1::2])
        judged: dict[str, list[Judged]] = {tool: [] for tool in (*args.models, "SEP")}
        for tuning, test in (halves, halves[::-1]):
            best, _ = best_settings(
                tuning, _inside(run_sep, edge), *sep_settings(), lambda t: t.average_precision, rounds=1
            )
            judged["SEP"] += [judge(f, _inside(run_sep, edge)(f, best)) for f in test]
            for tool, model in args.models.items():
                judged[tool] += [_ours(f, model, edge) for f in test]
        rows.append(report(name, judged))
    return rows


def main() -> int:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, "sdss/")
    parser.add_argument("--model", default="default", help="weights of astrogalaxy, several with commas")
    parser.add_argument("--fields", type=int, help="test fields of each row (default 8)")
    parser.add_argument("--quick", action="store_true", help="two test fields, less tuning")
    parser.add_argument("--json", type=Path, help="write all numbers")
    args = parser.parse_args()
    args.fields = args.fields or (2 if args.quick else 8)
    args.tuning, args.models = 1 if args.quick else 3, named(args.model)
    start = time.perf_counter()
    result: dict = {"header": header(args)}
    print(", ".join(f"{k} {v}" for k, v in result["header"].items()))
    print("completeness at 95 % purity [68 % interval], average precision, best F1: astrogalaxy (each of its weights) | SEP | +- of the difference | "
          "star/galaxy of astrogalaxy, mean of both classes")  # fmt: skip
    result |= {"bands": by_bands(args), "pixel scales": by_scale(args), "other images": other_images(args)}
    result["header"]["seconds"] = round(time.perf_counter() - start, 1)
    print(f"\n{result['header']['seconds']} s")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
