"""Whether there is light where the network finds wide galaxies that the catalogue measures with hardly any signal to noise.

They are found in g, r and i of an SDSS frame. Light in z, in which nothing was looked for, is summed there and at random places that are as far from
other rows, within a circle less the ring around it, in units of the noise. Circles of random places tell the scatter, which the sky's own structure is part of.

    python tests/benchmarks/bench_faint_wide.py --data DATA
"""

from __future__ import annotations

import argparse

import numpy as np
import sep
from contest.data import add_data
from contest.record import table
from scipy.spatial import cKDTree

import astrogalaxy as ag

FIELD, FOUND_IN, LOOKED_AT = "003918-3-0213", "gri", "z"
# Least side of the box of a row that counts, pixels, and its highest signal to noise.
WIDE, FAINT = 30.0, 3.0
# Radii of the circle and of the ring, distance of random places from other rows, pixels; and how many are tried.
CIRCLE, RING, AWAY, TRIED = 9.0, (24.0, 36.0), 25.0, 60_000
# So much light of single pixels counts at most: stars in the ring.
MOST = 10.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, "sdss/")
    parser.add_argument("--model", default="default")
    args = parser.parse_args()
    files = {band: args.data / "sdss" / f"frame-{band}-{FIELD}.fits.bz2" for band in FOUND_IN + LOOKED_AT}
    image = ag.Image.read({band: files[band] for band in FOUND_IN}, zeropoint=22.5, reference="r")
    rows = ag.detect(image, model=args.model)
    wide = (rows["x_max"] - rows["x_min"] > WIDE) & ~(rows["snr"] >= FAINT)
    both = ag.Image.read({band: files[band] for band in "r" + LOOKED_AT}, zeropoint=22.5, reference="r").aligned()
    light = np.clip(both.snr[both.bands.index(LOOKED_AT)], -MOST, MOST)
    ny, nx = light.shape
    places = np.random.default_rng(1).uniform(RING[1], (nx - RING[1], ny - RING[1]), (TRIED, 2))
    others = cKDTree(np.column_stack([rows["x"], rows["y"]])[~wide])
    random = summed(light, places[others.query(places)[0] > AWAY])
    found = summed(light, np.column_stack([rows["x"], rows["y"]])[wide])
    low, middle, high = np.percentile(random, [16, 50, 84])
    entry = {"rows": len(rows), "wide and faint": len(found), "their light in z": float(found.mean())}
    entry |= {"random places": float(middle), "scatter": float((high - low) / 2)}
    entry["above them, sigma"] = (entry["their light in z"] - middle) / (entry["scatter"] / np.sqrt(len(found)))
    print(table([entry]))


def summed(light: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Light within the circles around places, less that of the rings, in units of the noise."""
    x, y = places.T.copy()
    sky = sep.sum_circann(light, x, y, *RING)[0] / (np.pi * (RING[1] ** 2 - RING[0] ** 2))
    size = np.pi * CIRCLE**2
    return (sep.sum_circle(light, x, y, CIRCLE)[0] - sky * size) / np.sqrt(size)


if __name__ == "__main__":
    main()
