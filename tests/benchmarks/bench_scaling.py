"""How time and memory grow with the size of the image, the density of sources, the number of bands and of workers.

All on simulated SDSS-like fields. Each point runs in a process of its own with one thread: seconds are processor time of a tile
(reading, sky, alignment, detection and photometry) after a small one that brings imports and weights; memory is the largest that
the process had. Larger images are the same field side by side. For the workers whole surveys of equal fields of 2048 x 2048 pixels
are run with one and with two workers of one thread each, and the wall times of a field without start-up are compared.

    python tests/benchmarks scaling
    python tests/benchmarks/bench_scaling.py --only sizes bands
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from contest.cores import ONE_THREAD, limited_to

SIDE = 512
#: Factors on the counts of stars and of galaxies.
DENSITIES = {"0.3": (0.3, 0.3), "1": (1.0, 1.0), "4": (4.0, 4.0), "16": (16.0, 8.0)}
#: Sides, bands and weights of tiles whose memory is compared with the estimate.
TILES = ((1264, "gri", "default"), (1746, "r", "default"), (1746, "gri", "default"), (1746, "ugriz", "default"),
         (1746, "gri", "astroyolo-fine"), (2900, "gri", "default"), (4096, "r", "default"))  # fmt: skip
Rows = list[dict[str, object]]


def main() -> None:
    """Print the table."""
    parser = arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--tile", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.tile:
        tile(Path(args.tile[0]), args.tile[1].split(","), args.tile[2])
        return
    from contest.record import table

    print(table(measure(args)))


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 1024, 2048, 4096], help="sides in pixels")
    parser.add_argument("--bands", nargs="+", type=int, default=[1, 2, 3, 5])
    parser.add_argument("--survey", type=int, default=24, help="fields of the surveys for one and two workers")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=[part for part in PARTS if part != "memory"])
    return parser


def measure(args: argparse.Namespace) -> Rows:
    """All rows."""
    with tempfile.TemporaryDirectory() as name:
        return [row for part in args.only for row in PARTS[part](args, Path(name))]


def scene(folder: Path, *, side: int = SIDE, density: str = "1", bands: str = "gri", seed: int = 5) -> None:
    """Files of a field: a scene of 512 pixels a side, side by side until it is large enough."""
    from astrogalaxy.simulation import PROFILES, draw_conditions, simulate_scene

    stars, galaxies = DENSITIES[density]
    profile = PROFILES["sdss"]
    sky = replace(draw_conditions(profile, np.random.default_rng(seed)), crowding=stars, clustering=galaxies)
    made = simulate_scene(profile, size=SIDE, seed=seed, artefacts=False, conditions=sky)
    folder.mkdir(parents=True, exist_ok=True)
    times = -(-side // SIDE)
    for number, band in enumerate(bands):
        source = band if band in made.images else list(made.images)[number % len(made.images)]
        pixels = np.tile(made.images[source], (times, times))[:side, :side]
        fits.writeto(folder / f"{band}.fits", pixels, made.wcs[source].to_header(), overwrite=True)


def tile(folder: Path, bands: list[str], model: str) -> None:
    """Do the field of a folder and print processor seconds, sources and the process's peak memory in MB."""
    import astrogalaxy as ag

    paths = {band: folder / f"{band}.fits" for band in bands}
    ag.detect(ag.Image.read({b: fits.getdata(p)[:128, :128] for b, p in paths.items()}), model=model, threads=1)
    begin = time.process_time()
    catalog = ag.detect(ag.Image.read(paths, zeropoint=22.5), model=model, threads=1)
    print(time.process_time() - begin, len(catalog), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _point(what: str, folder: Path, bands: Iterable[str], side: int, model: str = "default") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, __file__, "--tile", str(folder), ",".join(bands), model],
        capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-1000:])
    seconds, sources, memory = (float(word) for word in done.stdout.split())
    return {
        "what": what, "sources": int(sources), "processor s": seconds, "Mpixel/s": side**2 / 1e6 / seconds,
        "peak memory, MB": round(memory),
    }  # fmt: skip


def sizes(args: argparse.Namespace, folder: Path) -> Rows:
    """Images of several sizes, three bands."""
    rows = []
    for side in args.sizes:
        scene(folder / f"side{side}", side=side)
        rows.append(_point(f"{side} x {side}", folder / f"side{side}", "gri", side))
    return rows


def densities(_args: argparse.Namespace, folder: Path) -> Rows:
    """Fields of several densities."""
    rows = []
    for name in DENSITIES:
        scene(folder / f"density{name}", side=1024, density=name)
        rows.append(_point(f"density {name}, 1024 x 1024", folder / f"density{name}", "gri", 1024))
    return rows


def numbers(args: argparse.Namespace, folder: Path) -> Rows:
    """Several numbers of bands."""
    rows = []
    for n in args.bands:
        bands = "ugrizy"[1 : 1 + n] if n < 6 else "ugrizy"
        scene(folder / f"bands{n}", side=1024, bands=bands)
        rows.append(_point(f"{n} band{'s' if n > 1 else ''}, 1024 x 1024", folder / f"bands{n}", bands, 1024))
    return rows


def workers(args: argparse.Namespace, folder: Path) -> Rows:
    """Throughput with one and with two workers of one thread."""
    from bench_end_to_end import run_survey, survey, timed

    scene(folder / "field", side=2048)
    files = {"field": {band: folder / "field" / f"{band}.fits" for band in "gri"}}
    each: dict[int, float] = {}
    for n in (1, 2):
        surveys = [survey(files, folder / f"workers{n}-{fields}", fields, n) for fields in (2, args.survey)]
        # with two cores the single worker would have the threads of both
        with limited_to(n):
            few, many = (timed(partial(run_survey, path))[0] for path in surveys)
        each[n] = (many - few) / (args.survey - 2)
    return [
        {
            "what": f"{n} worker{'s' if n > 1 else ''}, wall s of a field",
            "wall s": seconds,
            "throughput": each[1] / seconds,
        }
        for n, seconds in each.items()
    ]


def memory(_args: argparse.Namespace, folder: Path) -> Rows:
    """Peaks beside what tiles of that size are said to need, which was fitted to peaks on SDSS frames."""
    from astrogalaxy.config import SurveyConfig
    from astrogalaxy.survey.plan import tile_memory

    rows = []
    for side, bands, model in TILES:
        scene(folder / f"{side}{bands}", side=side, bands=bands)
        images = {"path": "{band}.fits", "bands": list(bands)}
        config = SurveyConfig.from_dict({"name": "m", "images": images, "detection": {"model": model}})
        row = _point(f"{bands}, {side} x {side}, {model}", folder / f"{side}{bands}", bands, side, model)
        rows.append(row | {"estimate, MB": round(tile_memory((side, side), len(bands), config) / 2**20)})
    return rows


PARTS = {"sizes": sizes, "densities": densities, "bands": numbers, "workers": workers, "memory": memory}

if __name__ == "__main__":
    main()
