"""astrogalaxy against SEP on the labelled SDSS field, on the part that no weights were trained on.

The labels (stars and galaxies of the SDSS catalogue, x < 1024 of the r frame of field
003918-3-0213) are split once by position, in ``pipelines/recipes/splits/sdss-003918-3-0213.csv``:
``test`` lies north of y = 760 and was never trained on. Both programs see the same frames, g, r and i unless ``--bands`` says others;
SEP gets the aligned bands, each divided by its noise, summed. Threshold, filter and order of SEP,
and the threshold of astrogalaxy, are chosen by the average precision on the part ``train``, then
scored on ``test``; SEP's usual 1.5 sigma is printed too. Matches are one to one, the best first, within 3 pixels.

The labels end at SDSS's own depth: many true fainter sources count as false here. Brightness orders
sources by depth, a probability of being real does not: what is compared is SEP by brightness
against astrogalaxy by brightness times ``det_score``. By ``det_score`` alone is printed too.
Where the labels are complete both are compared once more: what was found or labelled and is brighter
than 21.5 mag in a 2 arcsec aperture on the r frame, measured alike for all, counts; what is fainter
is neither right nor wrong. No label lies within 20 pixels of the frame's edge: nothing there counts.
Some labels lie where none of these bands has light (a matched filter on their sum stays below 3 sigma; most have some in u
or z alone, many of them on one bad column): what can be reached without them is printed, and the scores on the others.

    python tests/benchmarks/bench_sdss_labels.py --data ~/data
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sep
from astropy.stats import binom_conf_interval
from astropy.table import Table
from contest.data import add_data
from scipy.sparse.csgraph import connected_components

import astrogalaxy as ag
from astrogalaxy.detection import find, open_runtime
from astrogalaxy.detection.significance import significance
from astrogalaxy.evaluation.matching import Curve, Match, match_positions, precision_recall
from astrogalaxy.evaluation.reliability import expected_calibration_error

FIELD = "003918-3-0213"
RADIUS = 3.0
# What each part of the split covers of the r frame: x from 0 to 1024, and these rows.
WIDTH, ROWS = 1024, {"train": (0, 728), "test": (760, 1489)}
SPLIT = Path(__file__).resolve().parents[2] / "pipelines/recipes/splits" / f"sdss-{FIELD}.csv"
GAUSSIAN = np.outer(*[np.exp(-0.5 * (np.arange(-3, 4) / 1.4) ** 2)] * 2)
STRIPS = 16
# Where the labels are complete (magnitude in the aperture), and the pixels at the edge that have none.
COMPLETE, APERTURE, EDGE = 21.5, 2.5, 20.0
# Labels with less light than this in the three bands together, in sigma, are not in them.
SEEN = 3.0
# Galaxies brighter than this in an aperture of so many pixels shall be one row each. SDSS itself took two of them apart,
# which collide and are 50 pixels long: bright labels nearer than this to each other, in pixels, are one galaxy.
BRIGHT, BRIGHT_APERTURE, SAME_GALAXY = 19.0, 6.0, 20.0


@dataclass(frozen=True)
class Ranked:
    """Positions, and the order in which they are believed."""

    name: str
    x: np.ndarray
    y: np.ndarray
    rank: np.ndarray

    def in_part(self, part: str) -> np.ndarray:
        """Which lie where the labels of a part are."""
        low, high = ROWS[part]
        return (self.x >= EDGE) & (self.x < WIDTH) & (self.y >= low) & (self.y < high)


def read_labels(data: Path) -> dict[str, Table]:
    """Labels of each part."""
    labels = Table.read(data / "sdss" / f"{FIELD}-truth-west.csv", format="ascii.csv", comment="#")
    split = Table.read(SPLIT, format="ascii.csv", comment="#")
    return {part: labels[np.asarray(split["row"][split["part"] == part])] for part in ROWS}


def sep_catalogues(image: ag.Image) -> Iterator[Ranked]:
    """SEP on the noise-normalised sum, in several settings and orders."""
    summed = image.aligned().snr.sum(axis=0)
    summed = np.ascontiguousarray(summed / (1.4826 * np.median(np.abs(summed - np.median(summed)))))
    for sigma in (1.0, 1.2, 1.5, 2.0, 2.5):
        for kernel_name, options in (
            ("default filter", {}), ("no filter", {"filter_kernel": None}), ("wide filter", {"filter_kernel": GAUSSIAN}),
        ):  # fmt: skip
            found = sep.extract(summed, sigma, err=1.0, minarea=5, deblend_cont=0.005, **options)
            name = f"SEP, {sigma:g} sigma, {kernel_name}"
            for order, rank in (("flux", found["flux"]), ("signal to noise", found["flux"] / np.sqrt(found["npix"]))):
                yield Ranked(f"{name}, by {order}", found["x"], found["y"], rank)


def our_catalogues(image: ag.Image, model: str) -> Iterator[Ranked]:
    """Catalogues of astrogalaxy at several thresholds, by brightness times probability."""
    for threshold in (0.1, 0.2, 0.3, None):
        catalog = ag.detect(image, model=model, threshold=threshold)
        cut = "default threshold" if threshold is None else f"threshold {threshold:g}"
        yield Ranked(
            f"astrogalaxy, {cut}, by det_score x aperture signal to noise",
            np.asarray(catalog["x"]), np.asarray(catalog["y"]), np.asarray(catalog["det_score"]) * aperture_snr(catalog),
        )  # fmt: skip


def aperture_snr(catalog: ag.SourceCatalog) -> np.ndarray:
    """Signal to noise in the fixed aperture, all bands in quadrature."""
    ratios = [np.asarray(catalog[f"flux_aper_{b}"] / catalog[f"flux_aper_{b}_err"], float) for b in catalog.bands]
    return np.sqrt(np.sum(np.maximum(np.nan_to_num(ratios), 0) ** 2, axis=0))


def with_light(labels: Table, image: ag.Image) -> Table:
    """Labels that have light in the bands of the image."""
    return labels[significance(image.aligned().snr, labels["x"], labels["y"]) >= SEEN]


def score(found: Ranked, labels: Table, part: str) -> tuple[Curve, Match]:
    """Curve and match of a catalogue on a part."""
    mine = found.in_part(part)
    match = match_positions(found.x[mine], found.y[mine], found.rank[mine], labels["x"], labels["y"], radius=RADIUS)
    return precision_recall(found.rank[mine], match), match


def magnitudes(image: ag.Image, x: np.ndarray, y: np.ndarray, aperture: float = APERTURE) -> np.ndarray:
    """Magnitude in an aperture on the r frame."""
    flux, _, _ = sep.sum_circle(image.bands["r"].pixels().data, x, y, aperture, subpix=5)
    return 22.5 - 2.5 * np.log10(np.maximum(flux, 1e-3))


def score_complete(found: Ranked, labels: Table, part: str, image: ag.Image) -> Curve:
    """Curve of what is bright enough for the labels to be complete."""
    mine = found.in_part(part)
    x, y, rank = found.x[mine], found.y[mine], found.rank[mine]
    match = match_positions(x, y, rank, labels["x"], labels["y"], radius=RADIUS)
    bright_label = magnitudes(image, np.asarray(labels["x"]), np.asarray(labels["y"])) < COMPLETE
    # a match counts by its label's brightness, so that both sides of the cut agree
    counts = np.where(match.matched, bright_label[match.truth], magnitudes(image, x, y) < COMPLETE)
    kept = Match(match.truth[counts], match.distance[counts], int(bright_label.sum()))
    return precision_recall(rank[counts], kept)


def bootstrap(found: Ranked, labels: Table, part: str, *, draws: int = 200) -> float:
    """Standard error of the average precision, strips of sky resampled."""
    rng = np.random.default_rng(0)
    edges = np.linspace(0, WIDTH, STRIPS + 1)
    mine = np.flatnonzero(found.in_part(part))
    strip, true_strip = np.digitize(found.x[mine], edges), np.digitize(labels["x"], edges)
    values = []
    for _ in range(draws):
        parts = rng.integers(1, STRIPS + 1, STRIPS)
        rows = [mine[strip == p] for p in parts]
        true = [np.flatnonzero(true_strip == p) for p in parts]
        # every drawn strip gets a sky of its own
        shift = np.repeat(np.arange(STRIPS), [len(r) for r in rows]) * 1e4
        true_shift = np.repeat(np.arange(STRIPS), [len(t) for t in true]) * 1e4
        row, index = np.concatenate(rows), np.concatenate(true)
        match = match_positions(
            found.x[row] + shift, found.y[row], found.rank[row],
            labels["x"][index] + true_shift, labels["y"][index], radius=RADIUS,
        )  # fmt: skip
        values.append(precision_recall(found.rank[row], match).average_precision)
    return float(np.std(values))


def best_on_train(catalogues: Iterator[Ranked], labels: dict[str, Table]) -> Ranked:
    """The settings that do best on the training part."""
    return max(catalogues, key=lambda c: score(c, labels["train"], "train")[0].average_precision)


def report(found: Ranked, labels: dict[str, Table], lit: Table, image: ag.Image) -> Curve:
    """Print a catalogue's score on the test part and return its curve."""
    curve, _ = score(found, labels["test"], "test")
    error = bootstrap(found, labels["test"], "test")
    bright = score_complete(found, labels["test"], "test", image)
    seen, _ = score(found, lit, "test")
    print(f"{found.name}: AP {curve.average_precision:.3f} +- {error:.3f}, best F1 {curve.best_f1:.3f}, "
          f"completeness {curve.recall[-1]:.3f}; labels with light: AP {seen.average_precision:.3f}, "
          f"best F1 {seen.best_f1:.3f}, completeness {seen.recall[-1]:.3f}; brighter than {COMPLETE}: "
          f"AP {bright.average_precision:.3f}, best F1 {bright.best_f1:.3f}")  # fmt: skip
    return curve


def bright_galaxies(labels: Table, image: ag.Image) -> list[np.ndarray]:
    """Rows of the labels of each bright galaxy: those near each other are parts of one that SDSS took apart."""
    x, y = np.asarray(labels["x"]), np.asarray(labels["y"])
    bright = np.flatnonzero((labels["class"] == "galaxy") & (magnitudes(image, x, y, BRIGHT_APERTURE) < BRIGHT))
    near = np.hypot(x[bright, None] - x[bright], y[bright, None] - y[bright]) < SAME_GALAXY
    n, group = connected_components(near)
    return [bright[group == k] for k in range(n)]


def one_row_each(catalog: ag.SourceCatalog, labels: Table, image: ag.Image) -> tuple[int, int, int]:
    """Bright galaxies of the test part that are one row, that are found at all, and all of them.

    A row is the galaxy's if one of its labels lies within the row's half-light radius, and the brightest such row is the
    galaxy. Rows within two of its half-light radii that no label asks for are shreds.
    """
    x, y, radius = (np.asarray(catalog[n], float) for n in ("x", "y", "half_light_radius"))
    radius = np.fmax(radius / image.pixel_scale, RADIUS)
    found = Ranked("", x, y, np.asarray(catalog["det_score"]))
    _, match = score(found, labels, "test")
    labelled = np.zeros(len(x), dtype=bool)
    labelled[np.flatnonzero(found.in_part("test"))[match.matched]] = True
    galaxies = bright_galaxies(labels, image)
    rows = []
    for group in galaxies:
        gap = np.hypot(x[:, None] - np.asarray(labels["x"])[group], y[:, None] - np.asarray(labels["y"])[group])
        mine = np.flatnonzero(gap.min(axis=1) < radius)
        if len(mine):
            rows.append(mine[np.argmax(np.asarray(catalog["snr"])[mine])])
    whole = 0
    for row in rows:
        inside = np.hypot(x - x[row], y - y[row]) < 2 * radius[row]
        inside[row] = False
        whole += not np.any(inside & ~labelled)
    return whole, len(rows), len(galaxies)


def share(hits: int, n: int) -> str:
    """A share with its 68 % interval."""
    low, high = binom_conf_interval(hits, n, interval="wilson")
    return f"{hits / max(n, 1):.3f} [{low:.3f}, {high:.3f}]"


def main() -> int:
    """Print the comparison; exit 1 if astrogalaxy misses a bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, "sdss/")
    parser.add_argument("--model", default="default", help="weights of astrogalaxy")
    parser.add_argument("--bands", default="gri", help="bands that both see, of ugriz")
    args = parser.parse_args()
    labels = read_labels(args.data)
    test = labels["test"]
    frames = {b: args.data / "sdss" / f"frame-{b}-{FIELD}.fits.bz2" for b in args.bands}
    image = ag.Image.read(frames, reference="r", zeropoint=22.5)
    print(f"{len(test)} test labels ({np.sum(test['class'] == 'star')} stars); settings chosen on "
          f"{len(labels['train'])} training labels")  # fmt: skip
    lit = with_light(test, image)
    print(f"{len(test) - len(lit)} of the test labels have no light in {', '.join(args.bands)}: but by chance no more than "
          f"{len(lit) / len(test):.3f} of the labels can be found")  # fmt: skip
    theirs = report(best_on_train(sep_catalogues(image), labels), labels, lit, image)
    usual = next(c for c in sep_catalogues(image) if c.name == "SEP, 1.5 sigma, default filter, by flux")
    report(usual, labels, lit, image)
    ours = report(best_on_train(our_catalogues(image, args.model), labels), labels, lit, image)

    catalog = ag.detect(image, model=args.model)
    found = Ranked("astrogalaxy as it is, by det_score", *(np.asarray(catalog[n]) for n in ("x", "y", "det_score")))
    report(found, labels, lit, image)
    _, match = score(found, test, "test")
    hit = match.matched
    galaxy = np.asarray(test["class"] == "galaxy")[match.truth[hit]]
    right = galaxy == (np.asarray(catalog["p_galaxy"])[found.in_part("test")][hit] > 0.5)
    offset = float(np.median(match.distance[hit]))
    print(f"completeness {share(int(hit.sum()), len(test))}, "
          f"labelled {share(int(hit.sum()), len(hit))} of what was found")  # fmt: skip
    plain = (magnitudes(image, np.asarray(test["x"]), np.asarray(test["y"])) < COMPLETE)[match.truth[hit]]
    print(f"star/galaxy accuracy {share(int(right.sum()), len(right))}, brighter than {COMPLETE} "
          f"{share(int(right[plain].sum()), int(plain.sum()))}, median offset {offset:.2f} px")  # fmt: skip
    network = find(image, open_runtime(args.model))
    alone = Ranked("the network alone", network.x, network.y, network.det_score)
    _, match = score(alone, test, "test")
    truth = np.asarray(test["class"] == "galaxy")[match.truth[match.matched]]
    hits = truth == (network.p_galaxy[alone.in_part("test")][match.matched] > 0.5)
    print(f"star/galaxy accuracy of the network alone {share(int(hits.sum()), len(hits))}")
    p_galaxy = np.asarray(catalog["p_galaxy"], float)[found.in_part("test")][hit]
    print(f"expected calibration error of p_galaxy {expected_calibration_error(p_galaxy, galaxy.astype(float)):.3f} "
          f"({len(p_galaxy)} sources, ten bins)")  # fmt: skip
    whole, n_found, n_bright = one_row_each(catalog, test, image)
    print(f"galaxies brighter than {BRIGHT:g} that are one row: {whole} of {n_found} found, of {n_bright}")
    bars = {
        "AP >= SEP + 0.03": ours.average_precision >= theirs.average_precision + 0.03,
        "best F1 >= 0.90": ours.best_f1 >= 0.90,
        "star/galaxy >= 0.95": right.mean() >= 0.95,
        "bright galaxies one row each": whole == n_bright,
        "offset <= 0.5 px": offset <= 0.5,
    }
    print("bars:", ", ".join(f"{name} {'met' if met else 'MISSED'}" for name, met in bars.items()))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
