"""Where each tool loses: what it misses, and what it invents."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from contest.fields import Field
from contest.scores import Judged, isolation

__all__ = ["invented", "missed"]


def _groups(where: Field) -> dict[str, dict[str, np.ndarray]]:
    """Ways to sort the true sources of a field."""
    truth, bright = where.truth, where.depth - where.magnitude
    radius = np.asarray(truth["half_light_radius"]) / where.profile.pixel_scale / where.fwhm
    galaxy, gap = np.asarray(truth["class"] == "galaxy"), isolation(where)
    saturated = where.profile.depth["r"] - where.profile.saturation
    return {
        "magnitudes above the limit": _bins(bright, (-0.5, 0, 0.5, 1, 2, 3, 5, 12)),
        "nearest neighbour, FWHM": _bins(gap, (0, 1, 1.5, 2, 3, 5, np.inf)),
        "what": {
            "stars": ~galaxy & (bright < saturated),
            "saturated stars": ~galaxy & (bright >= saturated),
            "galaxies < 0.5 FWHM": galaxy & (radius < 0.5),
            "0.5 to 1": galaxy & (radius >= 0.5) & (radius < 1),
            "1 to 2": galaxy & (radius >= 1) & (radius < 2),
            "> 2": galaxy & (radius >= 2),
        },
        "place": {"in a brighter source's box": (inside := _inside(where)), "elsewhere": ~inside},
    }


def _bins(values: np.ndarray, edges: Sequence[float]) -> dict[str, np.ndarray]:
    return {f"{low:g} to {high:g}": (values >= low) & (values < high) for low, high in itertools.pairwise(edges)}


def _inside(where: Field) -> np.ndarray:
    """True sources inside the box of one that is a magnitude brighter."""
    t, m = where.truth, where.magnitude
    x, y = np.asarray(t["x"])[:, None], np.asarray(t["y"])[:, None]
    box = (x > t["x_min"]) & (x < t["x_max"]) & (y > t["y_min"]) & (y < t["y_max"])
    return np.asarray((box & (m[:, None] > m + 1)).any(axis=1))


def missed(
    fields: dict[str, list[Judged]], thresholds: dict[str, float]
) -> dict[str, dict[str, tuple[int, dict[str, float]]]]:
    """Completeness of each tool at its threshold: by way of sorting, by group, the number of sources and the shares."""
    first = next(iter(fields.values()))
    groups = [_groups(j.where) for j in first]
    table: dict[str, dict[str, tuple[int, dict[str, float]]]] = {}
    for way, names in groups[0].items():
        for name in names:
            masks = [g[way][name] & j.where.wanted for g, j in zip(groups, first, strict=True)]
            n = int(sum(m.sum() for m in masks))
            shares = {
                tool: sum(int((j.rank_of_truth()[m] >= thresholds[tool]).sum()) for j, m in zip(js, masks, strict=True))
                / max(n, 1)
                for tool, js in fields.items()
            }
            table.setdefault(way, {})[name] = (n, shares)
    return table


def invented(fields: dict[str, list[Judged]], thresholds: dict[str, float]) -> dict[str, dict[str, int]]:
    """Numbers of false sources of each tool at its threshold, by where they lie."""
    return {tool: _false(js, thresholds[tool]) for tool, js in fields.items()}


def _false(fields: Sequence[Judged], threshold: float) -> dict[str, int]:
    counts = dict.fromkeys(
        ("on a galaxy > 1.5 FWHM", "by a star 6 mag above the limit", "by another source", "empty sky"), 0
    )
    for j in fields:
        wrong = (j.truth == -1) & (j.rank >= threshold)
        truth, where = j.where.truth, j.where
        radius = np.asarray(truth["half_light_radius"]) / where.profile.pixel_scale / where.fwhm
        dx = np.abs(j.found.x[wrong][:, None] - np.asarray(truth["x"]))
        dy = np.abs(j.found.y[wrong][:, None] - np.asarray(truth["y"]))
        # half as far again as the box: where the outskirts still show
        inside = (dx < 0.75 * (truth["x_max"] - truth["x_min"])) & (dy < 0.75 * (truth["y_max"] - truth["y_min"]))
        large = (inside & (radius > 1.5)).any(axis=1)
        star = np.asarray(truth["class"] == "star") & (where.magnitude < where.depth - 6)
        bright = (star & (np.hypot(dx, dy) < 8 * where.fwhm)).any(axis=1) & ~large
        other = inside.any(axis=1) & ~large & ~bright
        for name, which in zip(counts, (large, bright, other, ~(large | bright | other)), strict=True):
            counts[name] += int(which.sum())
    return counts
