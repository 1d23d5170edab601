"""Where the time of a run goes: seconds of each stage of a field, and its share.

Real SDSS fields, unpacked, in g, r and i, with one worker of one thread on a core of its own. Two surveys are run, of few fields and of
many (the same files under many names); the difference of what ``run.json`` says of each stage over the difference of their
numbers is what a field costs, without start-up. "Other" is what is neither reading, network nor photometry: bringing bands onto one
grid, writing what waits for the merge, merging, catalogues, the report. As "network" counts the whole of the stage detect: the seeing
that is its input, the network, and what its maps become; and the pixels that alignment reads count as "other".

    python tests/benchmarks stages --data DATA

The bar is less than 20 % of the time for all of "other" together.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from bench_end_to_end import FIELDS, run_survey, survey, unpacked
from contest.cores import limited_to
from contest.data import add_data

KINDS = {"plan": "reading", "read": "reading", "detect": "network", "measure": "photometry"}
OTHER = "other"
Rows = list[dict[str, object]]


def main() -> int:
    """Print the table; exit 1 if the bar is missed."""
    args = arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0])).parse_args()
    from contest.record import table

    rows = measure(args)
    print(table(rows))
    return 0 if float(str(rows[-1]["share, %"])) < 20 else 1


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Options of this benchmark."""
    add_data(parser, "sdss/frame-*.fits.bz2")
    parser.add_argument("--few", type=int, default=6, help="fields of the smaller survey")
    parser.add_argument("--many", type=int, default=30, help="fields of the larger one")
    parser.add_argument("--fields", nargs="+", default=FIELDS, help="SDSS fields: run-camcol-field")
    return parser


def measure(args: argparse.Namespace) -> Rows:
    """A row for each stage, and one for each kind."""
    with tempfile.TemporaryDirectory() as name, limited_to(1):
        files = unpacked(args.data / "sdss", Path(name) / "unpacked", args.fields)
        few, many = (_seconds(survey(files, Path(name) / str(n), n, 1)) for n in (args.few, args.many))
    spent = {stage: (seconds - few.get(stage, 0.0)) / (args.many - args.few) for stage, seconds in many.items()}
    kinds: dict[str, float] = {}
    for stage, seconds in spent.items():
        kind = KINDS.get(stage, OTHER)
        kinds[kind] = kinds.get(kind, 0.0) + seconds
    total = sum(spent.values())
    rows = [_row(stage, KINDS.get(stage, OTHER), seconds, total) for stage, seconds in spent.items()]
    return rows + [
        _row("all of", kind, kinds.get(kind, 0.0), total) for kind in ("reading", "network", "photometry", OTHER)
    ]


def _row(stage: str, kind: str, seconds: float, total: float) -> dict[str, object]:
    return {"stage": stage, "kind": kind, "s of a field": seconds, "share, %": round(100 * seconds / total, 1)}


def _seconds(path: Path) -> dict[str, float]:
    run_survey(path)
    return json.loads((path.parent / "out" / "run.json").read_text(encoding="utf-8"))["seconds"]


if __name__ == "__main__":
    raise SystemExit(main())
