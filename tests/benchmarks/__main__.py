"""Run benchmarks of speed, print their tables, and write them down for the documentation.

    python tests/benchmarks --data DATA                     # all of them
    python tests/benchmarks startup scaling
    python tests/benchmarks end-to-end --data DATA --json docs/results/speed.json

Each has options of its own: ``python tests/benchmarks/bench_end_to_end.py --help``; options that are given here go to every one that
knows them. What is in the file and not measured anew stays there, with the circumstances under which it was measured.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

from contest.record import circumstances, table

BENCHMARKS = {
    "end-to-end": "bench_end_to_end",
    "stages": "bench_stages",
    "one-core": "bench_one_core",
    "scaling": "bench_scaling",
    "startup": "bench_startup",
    "formats": "bench_catalog_io",
    "invariance": "bench_invariance",
    "mosaic": "bench_mosaic",
}


def main() -> None:
    """Run the chosen ones."""
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}; default all")
    parser.add_argument("--json", type=Path, help="file that the tables are written to")
    chosen, rest = parser.parse_known_args()
    unknown = set(chosen.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    names, left = chosen.names or list(BENCHMARKS), []
    for name in names:
        module = import_module(BENCHMARKS[name])
        options, unused = module.arguments(argparse.ArgumentParser(prog=name, allow_abbrev=False)).parse_known_args(
            rest
        )
        left.append({word for word in unused if word.startswith("--")})
        rows = module.measure(options)
        print(f"\n{name}\n{table(rows)}", flush=True)
        if chosen.json:
            write(chosen.json, name, rows)
    if lost := set.intersection(*left):
        parser.error(f"no benchmark knows {' '.join(sorted(lost))}")


def write(path: Path, name: str, rows: list[dict[str, object]]) -> None:
    """Put the rows of a benchmark into the file, in place of earlier ones."""
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    record[name] = {**circumstances(), "rows": rows}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
