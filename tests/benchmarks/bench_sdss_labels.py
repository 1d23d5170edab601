"""astrogalaxy against SEP on the labelled SDSS field that no weights were trained on.

The labels (stars and galaxies of the SDSS catalogue, x < 1024 of the r frame of field
003918-3-0213) are split once by position: the part ``test`` of
``pipelines/recipes/splits/sdss-003918-3-0213.csv`` lies north of y = 760 and was never trained
on. Both programs see the same three frames; SEP gets the aligned bands, each divided by its
noise and summed, at the thresholds and with the filter that suit it best *on these labels*,
which favours it. Matches are one to one, the best score first, within 3 pixels.

    python tests/benchmarks/bench_sdss_labels.py --data ~/data
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import sep
from astropy.stats import binom_conf_interval
from astropy.table import Table

import astrogalaxy as ag
from astrogalaxy.evaluation.matching import match_positions, precision_recall

FIELD = "003918-3-0213"
RADIUS = 3.0
REGION_X, REGION_Y = 1024, 760
SPLIT = Path(__file__).resolve().parents[2] / "pipelines/recipes/splits" / f"sdss-{FIELD}.csv"
GAUSSIAN = np.outer(*[np.exp(-0.5 * (np.arange(-3, 4) / 1.4) ** 2)] * 2)


def test_labels(data: Path) -> Table:
    """Labels of the part that was not trained on."""
    labels = Table.read(data / "sdss" / f"{FIELD}-truth-west.csv", format="ascii.csv", comment="#")
    split = Table.read(SPLIT, format="ascii.csv", comment="#")
    return labels[np.asarray(split["row"][split["part"] == "test"])]


def in_region(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether positions lie where the test labels are."""
    return (np.asarray(x) < REGION_X) & (np.asarray(y) >= REGION_Y)


def sep_catalogues(image: ag.Image) -> dict[str, np.ndarray]:
    """SEP on the noise-normalised sum, in several settings."""
    summed = image.aligned().snr.sum(axis=0)
    summed = np.ascontiguousarray(summed / (1.4826 * np.median(np.abs(summed - np.median(summed)))))
    found = {}
    for threshold in (1.0, 1.2, 1.5, 2.0, 2.5):
        for name, kernel in (("gaussian", GAUSSIAN), ("default", None), ("none", False)):
            options = {} if kernel is None else {"filter_kernel": kernel if kernel is not False else None}
            found[f"{threshold:g} sigma, filter {name}"] = sep.extract(
                summed, threshold, err=1.0, minarea=5, deblend_cont=0.005, **options
            )
    return found


def score(x: np.ndarray, y: np.ndarray, rank: np.ndarray, truth: Table) -> tuple:
    """Curve and match of one catalogue."""
    mine = in_region(x, y)
    match = match_positions(x[mine], y[mine], rank[mine], truth["x"], truth["y"], radius=RADIUS)
    return precision_recall(rank[mine], match), match, mine


def bootstrap(x: np.ndarray, y: np.ndarray, rank: np.ndarray, truth: Table, *, draws: int = 200) -> float:
    """Standard error of the average precision, strips of sky resampled."""
    rng = np.random.default_rng(0)
    edges = np.linspace(0, REGION_X, 17)
    strip_found, strip_true = np.digitize(x, edges), np.digitize(truth["x"], edges)
    values = []
    for _ in range(draws):
        parts = rng.integers(1, 17, 16)
        shift = 5000.0 * np.arange(16)
        f = [np.flatnonzero((strip_found == p) & in_region(x, y)) for p in parts]
        t = [np.flatnonzero(strip_true == p) for p in parts]
        fx = np.concatenate([x[i] + s for i, s in zip(f, shift, strict=True)])
        tx = np.concatenate([truth["x"][i] + s for i, s in zip(t, shift, strict=True)])
        f_all, t_all = np.concatenate(f), np.concatenate(t)
        match = match_positions(fx, y[f_all], rank[f_all], tx, truth["y"][t_all], radius=RADIUS)
        values.append(precision_recall(rank[f_all], match).average_precision)
    return float(np.std(values))


def share(hits: int, n: int) -> str:
    """A share with its 68 % interval."""
    low, high = binom_conf_interval(hits, n, interval="wilson")
    return f"{hits / max(n, 1):.3f} [{low:.3f}, {high:.3f}]"


def main() -> int:
    """Print the comparison; exit 1 if astrogalaxy misses a bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ASTROGALAXY_DATA", "../shared/data")))
    parser.add_argument("--model", default="default", help="weights of astrogalaxy")
    args = parser.parse_args()
    truth = test_labels(args.data)
    frames = {b: args.data / "sdss" / f"frame-{b}-{FIELD}.fits.bz2" for b in "gri"}
    image = ag.Image.read(frames, reference="r", zeropoint=22.5)
    print(f"{len(truth)} test labels ({np.sum(truth['class'] == 'star')} stars)")

    best_name, best, best_sources = "", None, None
    for name, sources in sep_catalogues(image).items():
        curve, _, _ = score(sources["x"], sources["y"], sources["flux"], truth)
        if best is None or curve.average_precision > best.average_precision:
            best_name, best, best_sources = name, curve, sources
    error = bootstrap(best_sources["x"], best_sources["y"], best_sources["flux"], truth)
    print(f"SEP ({best_name}): AP {best.average_precision:.3f} +- {error:.3f}, "
          f"best F1 {best.best_f1:.3f}, completeness {best.recall[-1]:.3f}")  # fmt: skip

    catalog = ag.detect(image, model=args.model, threshold=0.02)
    x, y, rank = (np.asarray(catalog[n]) for n in ("x", "y", "det_score"))
    curve, match, mine = score(x, y, rank, truth)
    print(f"astrogalaxy: AP {curve.average_precision:.3f} +- {bootstrap(x, y, rank, truth):.3f}, "
          f"best F1 {curve.best_f1:.3f} at det_score {curve.best_score:.2f}, completeness {curve.recall[-1]:.3f}")  # fmt: skip

    catalog = ag.detect(image, model=args.model)
    x, y, rank = (np.asarray(catalog[n]) for n in ("x", "y", "det_score"))
    _, match, mine = score(x, y, rank, truth)
    hit = match.matched
    galaxy = np.asarray(truth["class"] == "galaxy")[match.truth[hit]]
    said = np.asarray(catalog["p_galaxy"])[mine][hit] > 0.5
    offset = float(np.median(match.distance[hit]))
    print(f"at the default threshold: completeness {share(int(hit.sum()), len(truth))}, "
          f"purity {share(int(hit.sum()), len(hit))}")  # fmt: skip
    print(f"star/galaxy accuracy {share(int((galaxy == said).sum()), len(said))}, median offset {offset:.2f} px")
    bars = (
        curve.average_precision >= best.average_precision,
        (galaxy == said).mean() >= 0.90,
        offset <= 0.5,
    )
    print("bars met:", ", ".join(f"{n} {'yes' if ok else 'NO'}" for n, ok in zip(("AP >= SEP", "star/galaxy >= 0.90", "offset <= 0.5 px"), bars, strict=True)))
    return 0 if all(bars) else 1


if __name__ == "__main__":
    sys.exit(main())
