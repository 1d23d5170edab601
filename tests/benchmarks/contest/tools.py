"""The tools side by side: settings chosen on tuning fields, catalogues of test fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

import astrogalaxy as ag
from contest.classical import (
    Found,
    filtered,
    run_sep,
    run_sextractor,
    sep_settings,
    sextractor_settings,
)
from contest.fields import Field
from contest.programs import sextractor
from contest.scores import Judged, Totals, best_settings, judge

__all__ = ["OURS", "Chosen", "choose", "named", "our_own", "ours", "run_all", "with_settings"]

OURS = "astrogalaxy"
#: Far below any sensible threshold: the ranking is followed to its end.
LOWEST = 0.02
Chosen = dict[str, tuple[Callable[[Field, dict], Found], dict]]


def named(models: str) -> dict[str, str]:
    """Weights by their names in the tables, of a list with commas: the first is astrogalaxy, the others say which they are."""
    return {f"{OURS}, {name}" if number else OURS: name for number, name in enumerate(models.split(","))}


def our_own(tools: Mapping[str, object]) -> list[str]:
    """Those of the tools that are astrogalaxy, with whatever weights."""
    return [tool for tool in tools if tool.startswith(OURS)]


def ours(where: Field, model: str) -> Found:
    """Catalogue of astrogalaxy, in its own order."""
    catalog = ag.detect(where.image, model=model, threshold=LOWEST)
    more = {name: np.asarray(catalog[name], float) for name in ("p_galaxy", "snr", "half_light_radius")}
    return Found(*(np.asarray(catalog[name], float) for name in ("x", "y", "det_score")), more)


def choose(fields: Sequence[Field], measure: Callable[[Totals], float], *, rounds: int = 2) -> dict[str, dict]:
    """Best settings of each classical tool on tuning fields, and what they reach there."""
    tools = {"SEP": (run_sep, *sep_settings())}
    if sextractor():
        tools["SExtractor"] = (run_sextractor, *sextractor_settings())
    report = {}
    for name, (run, start, choices) in tools.items():
        best, value = best_settings(fields, run, start, choices, measure, rounds=rounds)
        report[name] = {"settings": best, "on tuning fields": value}
    return report


def with_settings(tuned: Mapping[str, dict]) -> Chosen:
    """The tools, ready to run with what `choose` found."""
    runs = {"SEP": run_sep, "SExtractor": run_sextractor}
    return {name: (runs[name], how["settings"]) for name, how in tuned.items()}


def run_all(where: Field, chosen: Chosen, models: Mapping[str, str]) -> dict[str, Judged]:
    """Catalogues of one field, judged."""
    found = {name: ours(where, model) for name, model in models.items()}
    found |= {name: run(where, settings) for name, (run, settings) in chosen.items()}
    light = filtered(where, "sum")
    for catalog in found.values():
        ix, iy = (np.clip(np.nan_to_num(v).round().astype(int), 0, n - 1) for v, n in ((catalog.x, light.shape[1]), (catalog.y, light.shape[0])))  # fmt: skip
        catalog.more["light"] = light[iy, ix]
    return {name: judge(where, catalog) for name, catalog in found.items()}
