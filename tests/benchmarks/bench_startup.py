"""How long the package takes until it works: ``import astrogalaxy``, ``astrogalaxy --help``, and the first tile.

Each in a new process, the quickest of several; processor time, so that other work on the machine does not count, and wall time.

    python tests/benchmarks startup
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import numpy as np
from bench_end_to_end import timed

TILE = """
import numpy as np, astrogalaxy as ag
sky = np.random.default_rng(1).normal(100, 5, (256, 256))
ag.detect(ag.Image.read({"r": sky}), threads=1)
"""
STEPS = {
    "python alone": ["-c", "pass"],
    "import astrogalaxy": ["-c", "import astrogalaxy"],
    "astrogalaxy --help": ["-m", "astrogalaxy", "--help"],
    "first tile (256 x 256)": ["-c", TILE],
}


def main() -> None:
    """Print the table."""
    from contest.record import table

    print(table(measure(arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0])).parse_args())))


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    parser.add_argument("--repeats", type=int, default=5)
    return parser


def measure(args: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each step."""
    rows = []
    for what, command in STEPS.items():

        def start(command: list[str] = command) -> None:
            subprocess.run([sys.executable, *command], capture_output=True, check=True)

        wall, spent = np.min([timed(start) for _ in range(args.repeats)], axis=0)
        rows.append({"what": what, "wall s": float(wall), "processor s": float(spent)})
    return rows


if __name__ == "__main__":
    main()
