"""What galaxies are called in fields without any star, with the seeing measured there, and with seeing or point spread given.

Scenes like those of four surveys, of which no source is a star: whatever is called one is wrong. The seeing that is given is that of the
scene, or 5 % off; the point spread is an image of the true one.

    python tests/benchmarks/bench_starless.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from bench_given_psf import true_psf
from bench_seeing import SURVEYS
from contest.record import table

import astrogalaxy as ag
from astrogalaxy.catalog.columns import CLASSES
from astrogalaxy.simulation import PROFILES, Scene, draw_conditions, simulate_scene, vary

#: Factors on the true seeing; None: it is measured; 0: the point spread is given instead.
GIVEN = {"measured": None, "given": 1.0, "given, 5 % less": 0.95, "given, 5 % more": 1.05, "point spread given": 0.0}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=16)
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    counts = {name: dict.fromkeys(CLASSES, 0) for name in GIVEN}
    for scene in scenes(args.scenes, args.size, args.seed):
        for name, factor in GIVEN.items():
            for kind in np.asarray(called(scene, factor, args.model), str):
                counts[name][kind] += 1
    rows = [{"seeing": name, "sources": sum(found.values()), **found} for name, found in counts.items()]
    print(table(rows))


def scenes(n: int, size: int, seed: int) -> Iterator[Scene]:
    """Scenes of the surveys without stars."""
    for one in np.random.SeedSequence(seed).spawn(n):
        rng = np.random.default_rng(one)
        profile = vary(PROFILES[rng.choice(list(SURVEYS), p=list(SURVEYS.values()))], rng)
        conditions = replace(draw_conditions(profile, rng), crowding=0.0, pairs=0.0, nearby=0.0)
        yield simulate_scene(profile, size=size, seed=one.spawn(1)[0], conditions=conditions, artefacts=False)


def called(scene: Scene, factor: float | None, model: str) -> np.ndarray:
    """Classes in the catalogue."""
    seeing = {band: factor * fwhm for band, fwhm in scene.conditions.seeing.items()} if factor else None
    psf = true_psf(scene) if factor == 0 else None
    bands = {band: (scene.images[band], scene.wcs[band]) for band in scene.images}
    image = ag.Image.read(bands, zeropoint=scene.profile.zeropoint, seeing=seeing, psf=psf)
    return ag.detect(image, model=model)["class"]


if __name__ == "__main__":
    main()
