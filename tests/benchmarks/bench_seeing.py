"""How well the width of an image's stars is found before any source is known, on simulated scenes whose stars are known.

Scenes like those of four surveys, with few stars and many, few galaxies and many. By how many stars of a scene have a signal to
noise of 25: of how many scenes the seeing is known, how many of these are within 5 and 10 % of the truth, and by how much half
of them are off. Chosen stars are those that the point spread is learnt from; so many of them are stars. `--size 2048` has scenes as large as a
CCD's.

    python tests/benchmarks/bench_seeing.py
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from astropy.table import Table
from contest.record import table
from scipy.spatial import cKDTree

from astrogalaxy.simulation import PROFILES, Scene, simulate_scene, vary
from astrogalaxy.simulation.render import star_size
from astrogalaxy.training.examples import scene_image

# As the bundled weights' recipes mix them.
SURVEYS = {"sdss": 0.45, "decam": 0.25, "hsc": 0.12, "panstarrs": 0.18}
CLEAR_SNR, NEAR = 25.0, 2.0
STARS = (0, 4, 12, 10**6)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    seeds = np.random.SeedSequence(args.seed).spawn(args.scenes)
    looked = Table(rows=[look(scene(seed, args.size)) for seed in seeds])
    rows = []
    for low, high in itertools.pairwise(STARS):
        mine = (looked["stars"] >= low) & (looked["stars"] < high)
        if mine.any():
            rows.append(summed(f"{low} to {high - 1}" if high < STARS[-1] else f"{low} or more", looked[mine]))
    print(table([*rows, summed("all", looked)]))


def scene(seed: np.random.SeedSequence, size: int) -> Scene:
    """A scene of one of the surveys."""
    rng = np.random.default_rng(seed)
    profile = vary(PROFILES[rng.choice(list(SURVEYS), p=list(SURVEYS.values()))], rng)
    return simulate_scene(profile, size=size, seed=seed.spawn(1)[0])


def look(one: Scene) -> dict[str, float]:
    """What is found in a scene, and what is so."""
    band = scene_image(one).bands[one.reference]
    truth = one.truth[one.truth["snr"] >= CLEAR_SNR]
    star = np.asarray(truth["class"] == "star")
    right = 0
    if len(band.stars) and len(truth):
        distance, nearest = cKDTree(np.column_stack([truth["x"], truth["y"]])).query(band.stars)
        right = int(np.sum(star[nearest] & (distance < NEAR)))
    true = star_size(one.conditions, one.reference, one.profile.pixel_scale)
    return {
        "stars": int(star.sum()),
        "off": float(np.log(band.seeing / true)),
        "chosen": len(band.stars),
        "right": right,
    }


def summed(name: str, scenes: Table) -> dict[str, object]:
    """A row of the table."""
    off = np.abs(scenes["off"][np.isfinite(scenes["off"])])
    return {
        "stars": name, "scenes": len(scenes), "known": len(off), "within 5 %": int(np.sum(off < 0.05)),
        "within 10 %": int(np.sum(off < 0.10)), "half within": f"{100 * np.median(off):.1f} %" if len(off) else "",
        "chosen stars": int(scenes["chosen"].sum()), "of these stars": f"{scenes['right'].sum() / max(scenes['chosen'].sum(), 1):.2f}",
    }  # fmt: skip


if __name__ == "__main__":
    main()
