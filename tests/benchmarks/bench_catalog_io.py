"""How fast catalogues are written and read, and how much memory that takes, format by format.

    python tests/benchmarks/bench_catalog_io.py
    python tests/benchmarks/bench_catalog_io.py --rows 100000 --formats fits votable

The rows come in chunks, as from a merge that does not fit into memory. Each format is written by a process of its
own; rows/s are per second of processor time, so that other work on the machine does not count; its peak memory is what the process needed beyond the imports and one chunk that was written before. Reading gives
the whole catalogue, so its memory grows with the rows: ECSV is text, and wants 4 kB a row.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np

from astrogalaxy.catalog import CLASSES, CatalogWriter, SourceCatalog, columns_for, provenance
from astrogalaxy.formats import FORMATS

BANDS = ("g", "r", "i")


def made(rows: int, chunk: int) -> Iterator[SourceCatalog]:
    """Chunks of random sources along a strip of the sky, with every column of three bands."""
    rng = np.random.default_rng(1)
    floats = [column.name for column in columns_for(BANDS) if column.dtype.startswith("float")]
    for start in range(0, rows, chunk):
        n = min(chunk, rows - start)
        values: dict[str, object] = {name: rng.normal(20, 3, n) for name in floats}
        values["ra"] = 360 * (start + np.sort(rng.uniform(0, n, n))) / rows
        values["dec"] = rng.uniform(-1.25, 1.25, n)
        values["class"] = rng.choice(CLASSES, n)
        values["field"] = f"frame-{start:09d}"
        values["flags"] = rng.integers(0, 256, n)
        yield SourceCatalog.from_columns(values, bands=BANDS, meta=provenance())


def peak() -> float:
    """Most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(name: str, path: Path, rows: int, chunk: int) -> None:
    """Write one format and print rows/s, MB of peak memory and MB of the file."""
    with CatalogWriter(path.with_name(f"warm{FORMATS[name].suffix}")) as writer:  # imports and one chunk
        for part in made(chunk, chunk):
            writer.write(part)
    before, seconds = peak(), 0.0
    writer = CatalogWriter(path)
    with writer:
        for part in made(rows, chunk):
            begin = process_time()
            writer.write(part)
            seconds += process_time() - begin
        begin = process_time()
    seconds += process_time() - begin
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    print(rows / seconds, peak() - before, sum(file.stat().st_size for file in files) / 2**20)


def read(path: Path) -> None:
    """Read one file and print rows/s and MB of peak memory."""
    warm = next(file for file in path.parent.iterdir() if file.name.startswith("warm"))
    SourceCatalog.read(warm)
    before, begin = peak(), process_time()
    rows = len(SourceCatalog.read(path))
    print(rows / (process_time() - begin), peak() - before)


def alone(*arguments: object) -> list[float]:
    """Numbers that this program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    """Measure every format."""
    parser = arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        task, path = options.only[0], Path(options.only[1])
        read(path) if task == "read" else write(task, path, options.rows, options.chunk)
        return
    from contest.record import table

    print(f"{options.rows} rows, chunks of {options.chunk}, {len(columns_for(BANDS))} columns")
    print(table(measure(options)))


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chunk", type=int, default=50_000)
    names = [name for name, form in FORMATS.items() if form.holds != "area"]
    parser.add_argument("--formats", nargs="+", default=names, choices=names)
    parser.add_argument("--no-read", action="store_true", help="only write")
    return parser


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each format."""
    sizes = ["--rows", options.rows, "--chunk", options.chunk]
    made = []
    for name in options.formats:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"sky{FORMATS[name].suffix}"
            rate, memory, size = (round(value) for value in alone(*sizes, "--only", name, path))
            row: dict[str, object] = {
                "format": name, "written, rows/s": rate, "peak, MB": memory, "file, MB": size,
                "read, rows/s": None, "peak of reading, MB": None,
            }  # fmt: skip
            if FORMATS[name].reads_back and not options.no_read:
                rate, memory = (round(value) for value in alone(*sizes, "--only", "read", path))
                row |= {"read, rows/s": rate, "peak of reading, MB": memory}
            made.append(row)
    return made


if __name__ == "__main__":
    main()
