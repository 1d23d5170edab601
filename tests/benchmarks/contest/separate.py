"""Stars and galaxies of sources that every tool found, by each tool's own measure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contest.classical import SEP_START, run_sep, run_sextractor, sextractor_settings
from contest.fields import Field
from contest.programs import sextractor
from contest.scores import judge
from contest.shapes import Cut, best_cut, radius_ratio, spread_model
from contest.tools import ours

__all__ = ["ALL_CUTS", "CHOSEN", "Classes", "choose_cuts", "classified"]

#: The classical cuts that astrogalaxy is compared with.
ALL_CUTS = ("CLASS_STAR", "SPREAD_MODEL", "half-light radius")
#: Astrogalaxy once more with a cut on p_galaxy that is chosen as theirs are, instead of the 0.5 of its catalogue: the shares of
#: stars and galaxies in these fields are those of no sky, and theirs know them.
CHOSEN = ", cut chosen"
_SLOPES = (0.0, 0.5, 1.0, 5 / 3, 2.0, 3.0)
_EDGES = (0, 1, 2, 3, 4, 5, 6, 12)
# Deep enough to measure whatever is compared, deblended.
_DEEP = {"threshold": 1.0, "deblend": 0.0005}


@dataclass
class Classes:
    """Sources found by every tool.

    Attributes
    ----------
    bright : ndarray
        Magnitudes above the limit.
    galaxy : ndarray
        What they are.
    calls : dict
        Which of them each tool calls galaxies.
    cuts : dict
        The cuts chosen, per survey.
    """

    bright: np.ndarray
    galaxy: np.ndarray
    calls: dict[str, np.ndarray]
    cuts: dict[str, dict[str, Cut]]

    def table(self) -> list[dict]:
        """Completeness and purity per bin: of galaxies (gc, gp), of stars (sc, sp), and the means of both."""
        rows = []
        for low, high in [*itertools.pairwise(_EDGES), (_EDGES[0], _EDGES[-1])]:
            mine = (self.bright >= low) & (self.bright < high)
            galaxy = self.galaxy[mine]
            if not len(galaxy):
                continue
            row = {"bin": f"{low} to {high}", "n": len(galaxy), "galaxies": int(galaxy.sum())}
            rows.append(row | {tool: _shares(galaxy, called[mine]) for tool, called in self.calls.items()})
        return rows


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _shares(galaxy: np.ndarray, called: np.ndarray) -> dict[str, float]:
    shares = {
        "gc": _mean(called[galaxy]), "gp": _mean(galaxy[called]), "sc": _mean(~called[~galaxy]), "sp": _mean(~galaxy[~called]),
    }  # fmt: skip
    means = {}
    for name, parts in (
        ("completeness", (("gc", galaxy.sum()), ("sc", (~galaxy).sum()))),
        ("purity", (("gp", called.sum()), ("sp", (~called).sum()))),
    ):
        means[name] = float(np.nanmean([shares[k] for k, _ in parts]))
        variances = [shares[k] * (1 - shares[k]) / max(n, 1) for k, n in parts]
        means[f"{name} error"] = float(np.sqrt(np.nansum(variances)) / 2)
    return shares | means


def _measured(where: Field, models: Mapping[str, str]) -> dict[str, np.ndarray]:
    """What every tool measures of the sources that all of them found."""
    catalogues = {name: judge(where, ours(where, model)) for name, model in models.items()}
    catalogues |= {"SEP": judge(where, run_sep(where, {**SEP_START, **_DEEP}))}
    if sextractor():
        catalogues["SExtractor"] = judge(where, run_sextractor(where, {**sextractor_settings()[0], **_DEEP}))
    rows = {name: j.found_of_truth() for name, j in catalogues.items()}
    common = np.flatnonzero(np.all([r >= 0 for r in rows.values()], axis=0))
    found = catalogues["SEP"].found
    at = rows["SEP"][common]
    spread, error = spread_model(where, found.x[at], found.y[at])
    zero = np.zeros(len(common))
    measured = {
        "galaxy": np.asarray(where.truth["class"] == "galaxy")[common],
        "bright": (where.depth - where.magnitude)[common],
        **{name: catalogues[name].found.more["p_galaxy"][rows[name][common]] for name in models},
        "SPREAD_MODEL": spread, "SPREAD_MODEL error": error,
        "half-light radius": radius_ratio(where, found.x[at], found.y[at], {k: v[at] for k, v in found.more.items()}),
    }  # fmt: skip
    if sextractor():
        more, at = catalogues["SExtractor"].found.more, rows["SExtractor"][common]
        measured["CLASS_STAR"] = -more["class_star"][at]
        measured["half-light radius"] = more["radius"][at] / where.fwhm
    where.cache.clear()
    known = [k for k in (*models, *ALL_CUTS) if k in measured]
    return measured | {f"{k} error": zero for k in known if f"{k} error" not in measured}


def _together(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}


def choose_cuts(fields: Sequence[Field], models: Mapping[str, str]) -> dict[str, dict[str, Cut]]:
    """The best cut of each measure, for each survey of its own."""
    cuts = {}
    for survey in dict.fromkeys(f.profile.name for f in fields):
        m = _together([_measured(f, models) for f in fields if f.profile.name == survey])
        cuts[survey] = {
            name: best_cut(m[name], m[f"{name} error"], m["galaxy"], _SLOPES if name == "SPREAD_MODEL" else (0.0,))
            for name in (*models, *ALL_CUTS) if name in m
        }  # fmt: skip
    return cuts


def classified(fields: Sequence[Field], cuts: dict[str, dict[str, Cut]], models: Mapping[str, str]) -> Classes:
    """Classes of test fields by cuts that were chosen before."""
    parts = []
    for where in fields:
        m = _measured(where, models)
        calls = {name: m[name] > 0.5 for name in models}
        for name, cut in cuts[where.profile.name].items():
            label = f"{name}{CHOSEN}" if name in models else name
            calls[label] = cut.galaxy(m[name], m[f"{name} error"])
        parts.append({"bright": m["bright"], "galaxy": m["galaxy"]} | calls)
    merged = _together(parts)
    calls = {n: v.astype(bool) for n, v in merged.items() if n not in ("bright", "galaxy")}
    return Classes(merged["bright"], merged["galaxy"].astype(bool), calls, cuts)
