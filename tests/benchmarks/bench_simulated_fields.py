"""astrogalaxy against SEP and SExtractor on simulated fields whose truth is known completely.

Fields like SDSS's and DECam's in three bands: sparse, normal, crowded, and difficult (artefacts, glare, big galaxies); isolated blended
pairs; and single sources (`contest.fields` says how they are drawn). All tools see the same pixels. SEP and SExtractor get the aligned, noise-normalised
bands as one image, the seeing exactly, and for every regime the settings that do best on tuning fields
(`contest.classical`); SExtractor is left out where it is not installed. Each tool's catalogue is followed down its own ranking.

To be found is every true source with a signal to noise of 5 or more (matched filter, all bands) that has no brighter one within
0.8 FWHM. A found source within half an FWHM of one is right, one to one. What is left within one FWHM of fainter truth, or of a
true source that nothing else found (between the members of a pair), is neither right nor wrong. Intervals are 68 %, from fields
resampled; "+-" is the standard error of the difference to astrogalaxy.

Stars and galaxies are compared on sources that every tool found: astrogalaxy's p_galaxy > 0.5 against
CLASS_STAR, SPREAD_MODEL with the true PSF, and the half-light radius (`contest.shapes`), their cuts chosen on tuning fields. A cut on
p_galaxy that is chosen there, too, is compared as well. Pairs are tuned for by themselves, and met once more with the settings that are best
for normal fields, as a survey meets them.

    python tests/benchmarks/bench_simulated_fields.py --quick
    python tests/benchmarks/bench_simulated_fields.py --json simulated.json --plot simulated.png
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from contest import figure, losses
from contest.fields import DIFFICULT, REGIMES, Field, pair_field, single_field, sky_field
from contest.programs import sextractor, sextractor_version
from contest.scores import Judged, Totals, bootstrap, totals
from contest.separate import ALL_CUTS, Classes, choose_cuts, classified
from contest.tools import OURS, choose, named, our_own, run_all, with_settings

PAIRS = "pairs"
#: The same fields with the settings that do best in normal ones.
UNTUNED = "pairs, settings of normal fields"
#: What must be gained on the better classical tool, in shares.
BARS = {"normal": 0.03, PAIRS: 0.08, UNTUNED: 0.08}
#: A share is not below another one if it is lower by at most this: both may be perfect.
TIE = 0.005
#: What classes are compared by.
SHARES = ("completeness", "purity")


def main() -> int:
    """Print the comparison; exit 1 if a bar is missed."""
    args = arguments()
    start = time.perf_counter()
    if not sextractor():
        print("SExtractor: not installed (Debian: source-extractor); left out, and CLASS_STAR with it")
    result: dict = {"header": header(args)}
    print(", ".join(f"{k} {v}" for k, v in result["header"].items()))
    tuned = {regime: tune(regime, args) for regime in (*REGIMES, PAIRS)}
    if args.tune:
        return 0
    tuned[UNTUNED] = tuned["normal"]
    judged, regimes = {}, {}
    for regime, settings in tuned.items():
        judged[regime], regimes[regime] = compare(regime, settings, args)
    result["regimes"] = regimes
    classes = star_galaxy(args, judged)
    result["star/galaxy"] = {name: report_classes(name, c) for name, c in classes.items()}
    result["bars"] = bars(result)
    result["header"]["seconds"] = round(time.perf_counter() - start, 1)
    print(f"{result['header']['seconds']} s")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.plot:
        shown = {
            regime: {tool: (fields, regimes[regime]["tools"][tool]["threshold"]) for tool, fields in tools.items()}
            for regime, tools in judged.items()
        }
        figure.draw(args.plot, shown, {name: (c.bright, c.galaxy, c.calls) for name, c in classes.items()})
    return 0 if all(b["met"] for b in result["bars"]) else 1


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="weights of astrogalaxy, several with commas")
    parser.add_argument("--surveys", default="sdss,decam", help="profiles to imitate")
    parser.add_argument("--fields", type=int, help="test fields of each survey and regime (default 8)")
    parser.add_argument("--quick", action="store_true", help="two test fields, less tuning")
    parser.add_argument(
        "--settings", type=Path, help="file that keeps the settings of SEP and SExtractor for the next time"
    )
    parser.add_argument("--tune", action="store_true", help="choose these settings, and do nothing else")
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--plot", type=Path, help="draw completeness, purity and classes against brightness")
    args = parser.parse_args()
    args.surveys, args.models = args.surveys.split(","), named(args.model)
    args.fields = args.fields or (2 if args.quick else 8)
    args.tuning = 1 if args.quick else 3
    return args


def header(args: argparse.Namespace) -> dict:
    """What was run, with what."""
    import sep

    import astrogalaxy as ag
    from astrogalaxy.models import load_weights

    here = Path(__file__).resolve().parent
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    ).stdout.strip()
    cards = [load_weights(model).card for model in args.model.split(",")]
    return {
        "command": " ".join(["python", f"tests/benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "commit": commit or "unknown", "astrogalaxy": ag.__version__,
        "weights": "; ".join(f"{card.name} {card.version} {card.sha256[:12]}" for card in cards),
        "sep": sep.__version__, "SExtractor": sextractor_version() if sextractor() else None,
        "python": platform.python_version(), "numpy": np.__version__,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }  # fmt: skip


def fields(regime: str, args: argparse.Namespace, part: str) -> list[Field]:
    """Fields of a regime."""
    n = args.tuning if part == "tune" else args.fields
    if regime in (PAIRS, UNTUNED):
        return [pair_field(s, i, part) for s in args.surveys for i in range(max(n // 2, 1))]
    return [sky_field(s, regime, i, part) for s in args.surveys for i in range(n)]


def tune(regime: str, args: argparse.Namespace) -> dict[str, dict]:
    """Best settings of the classical tools for a regime: those that were chosen before, if they were kept."""
    known = json.loads(args.settings.read_text()) if args.settings and args.settings.is_file() else {}
    rounds = 1 if args.quick else 2
    key = f"{regime}, {args.tuning} fields of {', '.join(args.surveys)}, {rounds} rounds"
    if key not in known:
        known[key] = choose(fields(regime, args, "tune"), aim(regime), rounds=rounds)
        if args.settings:
            args.settings.write_text(json.dumps(known, indent=1) + "\n")
    return known[key]


def aim(regime: str) -> Callable[[Totals], float]:
    """What a regime is about."""
    return (lambda t: t.pairs) if regime == PAIRS else (lambda t: t.completeness)


def compare(regime: str, tuned: dict[str, dict], args: argparse.Namespace) -> tuple[dict[str, list[Judged]], dict]:
    """Run and score all tools, with settings that were chosen before, on the fields of a regime."""
    chosen = with_settings(tuned)
    judged: dict[str, list[Judged]] = {}
    for where in fields(regime, args, "test"):
        for tool, one in run_all(where, chosen, args.models).items():
            judged.setdefault(tool, []).append(one)
        where.cache.clear()
    scores = {tool: totals(js) for tool, js in judged.items()}
    measures = {"completeness": lambda t: t.completeness, "pairs": lambda t: t.pairs}
    intervals = {name: bootstrap(judged, measure) for name, measure in measures.items()}
    # standard errors of the differences of each of our own to the others
    differences = {
        own: {
            name: {t: e for t, (_, _, e) in bootstrap({own: judged[own], **judged}, measure).items()}
            for name, measure in measures.items()
        }
        for own in our_own(judged)
    }
    report = {
        "settings": tuned, "fields": len(judged[OURS]), "wanted": sum(j.n_wanted for j in judged[OURS]),
        "pairs": sum(len(j.where.pairs) for j in judged[OURS]),
        "tools": {tool: asdict(t) for tool, t in scores.items()}, "intervals": intervals, "differences": differences,
        "surveys": {s: {tool: asdict(totals([j for j in js if j.where.profile.name == s])) for tool, js in judged.items()} for s in args.surveys},
        "missed": losses.missed(judged, {tool: t.threshold for tool, t in scores.items()}),
        "invented": losses.invented(judged, {tool: t.threshold for tool, t in scores.items()}),
    }  # fmt: skip
    print_regime(regime, report)
    return judged, report


def print_regime(regime: str, report: dict) -> None:
    """Tables of a regime."""
    print(f"\n{regime}: {report['fields']} fields, {report['wanted']} sources, {report['pairs']} blended pairs")
    for tool, how in report["settings"].items():
        print(f"  {tool}: {', '.join(f'{k} {v}' for k, v in how['settings'].items())}")
    print(
        f"  {'':12s} {'at 95 % purity':>27s} {'+-':>5s} {'both of a pair':>27s} {'+-':>5s}    AP  bestF1  offset/FWHM"
    )
    for tool, t in report["tools"].items():
        cells = []
        for name in ("completeness", "pairs"):
            low, high, error = report["intervals"][name][tool]
            cells.append(f"{t[name]:11.3f} [{low:.3f}, {high:.3f}] {error:.3f}")
        print(f"  {tool:12s} {'  '.join(cells)} {t['average_precision']:.3f}  {t['best_f1']:.3f}  {t['offset']:.3f}")
    tools = list(report["tools"])
    for survey, scores in report["surveys"].items():
        print(
            f"  {survey:12s} completeness {_row(tools, scores, 'completeness')}; pairs {_row(tools, scores, 'pairs')}"
        )
    print(f"  found, by group (number; {', '.join(tools)}):")
    for way, groups in report["missed"].items():
        cells = [
            f"{name} ({n}) {'/'.join(f'{shares[t]:.2f}' for t in tools)}" for name, (n, shares) in groups.items() if n
        ]
        print(f"    {way}: {'; '.join(cells)}")
    for tool, counts in report["invented"].items():
        print(f"  invented by {tool}: {', '.join(f'{k} {v}' for k, v in counts.items())}")


def _row(tools: list[str], scores: dict, name: str) -> str:
    return " / ".join(f"{scores[t][name]:.3f}" for t in tools)


def star_galaxy(args: argparse.Namespace, judged: dict[str, dict[str, list[Judged]]]) -> dict[str, Classes]:
    """Classes of single sources and of the sources of the fields, cuts chosen on tuning fields."""
    n = max(args.fields // 2, 1)
    tuning = [single_field(s, i, "tune") for s in args.surveys for i in range(max(args.tuning - 1, 1))]
    cuts = choose_cuts(tuning, args.models)
    singles = [single_field(s, i, "test") for s in args.surveys for i in range(n)]
    sky = [j.where for regime in REGIMES if regime != DIFFICULT for j in judged[regime][OURS]]
    return {
        "single sources": classified(singles, cuts, args.models),
        "sources of the fields": classified(sky, cuts, args.models),
    }


def report_classes(name: str, classes: Classes) -> dict:
    """Print and return shares per magnitude bin."""
    table = classes.table()
    print(f"\nstar/galaxy, {name}: {len(classes.galaxy)} sources found by all; mean of stars and galaxies")
    for survey, cuts in classes.cuts.items():
        print(f"  cuts, {survey}: " + ", ".join(f"{k} {c}" for k, c in cuts.items()))
    print("  mag above limit   n (galaxies)   " + "   ".join(f"{tool:>23s}" for tool in classes.calls))
    print(
        "                                   "
        + "   ".join(f"{'completeness':>12s} {'purity':>10s}" for _ in classes.calls)
    )
    for row in table:
        cells = [
            f"{row[t]['completeness']:.3f}+-{row[t]['completeness error']:.3f} {row[t]['purity']:10.3f}"
            for t in classes.calls
        ]
        print(f"  {row['bin']:14s} {row['n']:5d} ({row['galaxies']:4d})   " + "      ".join(f"{c:>20s}" for c in cells))
    print("  galaxies (completeness, purity) and stars (completeness, purity):")
    for row in table:
        cells = [" ".join(f"{row[t][k]:.2f}" for k in ("gc", "gp", "sc", "sp")) for t in classes.calls]
        print(f"  {row['bin']:14s}                " + "      ".join(f"{c:>20s}" for c in cells))
    cuts = {survey: {k: asdict(c) for k, c in known.items()} for survey, known in classes.cuts.items()}
    return {"cuts": cuts, "bins": table}


def bars(result: dict) -> list[dict]:
    """Print and return what was asked for, and whether it is met."""
    lines = []
    for regime, gain in BARS.items():
        measure = "pairs" if regime in (PAIRS, UNTUNED) else "completeness"
        tools = result["regimes"][regime]["tools"]
        own = our_own(tools)
        rival = max((t for t in tools if t not in own), key=lambda t: tools[t][measure])
        what = "both members of a pair" if measure == "pairs" else "completeness"
        for tool in own:
            value = tools[tool][measure] - tools[rival][measure]
            error = result["regimes"][regime]["differences"][tool][measure][rival]
            lines.append({"bar": f"{regime}: {what} of {tool} at 95 % purity above {rival} by {100 * gain:.0f} points",
                          "value": f"{100 * value:+.1f} +- {100 * error:.1f}", "met": value >= gain})  # fmt: skip
    for name, table in result["star/galaxy"].items():
        for cut in ALL_CUTS:
            rows = [
                r
                for r in table["bins"][:-1]  # the last one is all together
                if cut in r and r["n"] >= 40 and min(r["galaxies"], r["n"] - r["galaxies"]) >= 5
            ]
            if not rows:
                continue
            for own in our_own(table["bins"][0]):
                gains = [
                    (r[own][k] - r[cut][k], np.hypot(r[own][f"{k} error"], r[cut][f"{k} error"]))
                    for r in rows
                    for k in SHARES
                ]
                lower = sum(gain < -TIE for gain, _ in gains)
                surely = sum(gain < -max(TIE, error) for gain, error in gains)
                lines.append({"bar": f"star/galaxy, {name}: completeness and purity of {own} not below {cut} in any bin",
                              "value": f"of {len(gains)} lower {lower}, by more than the errors {surely}", "met": not surely})  # fmt: skip
    print("\nbars:")
    for line in lines:
        print(f"  {line['bar']}: {line['value']}: {'met' if line['met'] else 'MISSED'}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
