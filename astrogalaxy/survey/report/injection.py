"""The page of injections: one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from astrogalaxy.evaluation.injection import Recovery
from astrogalaxy.survey.report import text
from astrogalaxy.survey.report.injection_charts import injection_charts, radius_words
from astrogalaxy.survey.report.page import MOST_FAILURES, MOST_FIELDS, write_page
from astrogalaxy.survey.report.style import CLASS_NAMES

__all__ = ["write_injection_report"]

# How far the width of injected stars may be from that of real ones.
_SAME_WIDTH = 0.03


def write_injection_report(path: str | os.PathLike[str], *, record: Mapping[str, Any], recovery: Recovery) -> None:
    """Write the report of injections: one HTML file, atomically.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    record : mapping
        As in ``injection.json``.
    recovery : Recovery
        What came of the injections.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    write_page(path, "injection.html.j2", _context(record, recovery))


def _context(record: Mapping[str, Any], recovery: Recovery) -> dict[str, Any]:
    """Everything that the template shows."""
    failures, fields = list(record.get("failures") or ()), record["fields"]
    settings = record.get("settings") or {}
    return {
        "name": str(record.get("name", "")),
        "status": "partial" if failures else "complete",
        "finished": text.moment(record.get("finished")),
        "dash": text.NOTHING,
        "n_injected": record["injected"],
        "n_found": record["found"],
        "n_fields": len(fields),
        "rounds": settings.get("rounds"),
        "reference": recovery.reference,
        "bands": recovery.bands,
        "magnitudes": record["magnitudes"],
        "headline": _headline(record),
        "limits": [_limit_row(entry) for entry in record["limits"]],
        "charts": injection_charts(recovery),
        "rows": [_row(row) for row in recovery.completeness()],
        "fields": [_field_row(field, recovery) for field in fields[:MOST_FIELDS]],
        "more_fields": max(len(fields) - MOST_FIELDS, 0),
        "wide": _wide(fields),
        "gaps": [str(field["name"]) for field in fields if field["mirror"] != "noise"],
        "extra": record["extra"],
        "n_confused": record["confused"],
        "gainless": [band for band in recovery.bands if not any(field["photon_noise"].get(band) for field in fields)],
        "failures": failures[:MOST_FAILURES],
        "n_failures": len(failures),
        "facts": _facts(record, settings),
    }


def _magnitude(values: list[float | None]) -> tuple[str, str]:
    """A magnitude and its interval."""
    value, low, high = (float("nan") if v is None else v for v in values)
    if not np.isfinite(value):
        return text.NOTHING, "outside the injected range"
    if not (np.isfinite(low) and np.isfinite(high)):
        return text.number(value), "interval unbounded"
    return text.number(value), f"{text.number(low)} to {text.number(high)}"


def _headline(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The numbers on top: name, value, and a word about it."""
    rows = []
    whole = {entry["class"]: entry for entry in record["limits"] if entry["radius"][0] is None}
    for kind in ("star", "galaxy"):
        if kind in whole:
            rows += [
                (f"50 % of {CLASS_NAMES[kind]} at {record['reference']} =", *_magnitude(whole[kind]["half"])),
                (f"90 % of {CLASS_NAMES[kind]} at {record['reference']} =", *_magnitude(whole[kind]["ninety"])),
            ]
    purity = record["purity"]
    if purity and purity[0] is not None:
        value, low, high = (100 * v for v in purity)
        rows.append(("purity", f"{value:.1f} %", f"{low:.1f} to {high:.1f}; against noise only"))
    return rows


def _limit_row(entry: Mapping[str, Any]) -> dict[str, str]:
    half, ninety = _magnitude(entry["half"]), _magnitude(entry["ninety"])
    bright = float("nan") if entry["bright"] is None else entry["bright"]
    size = "" if entry["class"] == "star" else radius_words(*entry["radius"])
    return {
        "what": CLASS_NAMES[entry["class"]],
        "size": size,
        "half": half[0],
        "half_range": half[1],
        "ninety": ninety[0],
        "ninety_range": ninety[1],
        "bright": text.share(bright, 1.0),
        "n": text.count(entry["n"]),
    }


def _row(row: Any) -> dict[str, str]:
    """A bin of completeness."""
    kind = str(row["class"])
    return {
        "what": CLASS_NAMES[kind],
        "size": "" if kind == "star" else radius_words(float(row["radius_low"]), float(row["radius_high"])),
        "bin": f"{text.number(row['mag_low'])} to {text.number(row['mag_high'])}",
        "n": text.count(row["n_injected"]),
        "found": text.count(row["n_found"]),
        "confused": text.count(row["n_confused"]),
        "share": text.share(row["completeness"], 1.0),
        "range": f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %",
    }


def _field_row(field: Mapping[str, Any], recovery: Recovery) -> dict[str, Any]:
    spread = field["point_spread"][recovery.reference]
    stars = f"from {text.count(spread['stars'])} stars" if spread["stars"] else "assumed, too few stars"
    return {
        "name": field["name"],
        "sources": text.count(field["sources"]),
        "area": text.area(3600 * field["area"]),
        "injected": text.count(field["injected"]),
        "density": f"{text.number(field['density'])} per arcmin² and round",
        "found": text.count(field["found"]),
        "depth": text.number(field["depth"]),
        "seeing": [
            text.number(field["point_spread"][b]["fwhm"]) if b in field["point_spread"] else text.NOTHING
            for b in recovery.bands
        ],
        "from": "as given" if spread.get("given") else stars,
        "width": text.number(field["star_width"], 3),
        "false": text.count(field["false"]),
        "free": text.share(field["free"], 1.0),
    }


def _wide(fields: list[Mapping[str, Any]]) -> list[str]:
    """Fields whose injected stars are not as wide as the real ones, or of which that is not known."""
    return [
        str(field["name"])
        for field in fields
        if field["star_width"] is None or abs(field["star_width"] - 1) > _SAME_WIDTH
    ]


def _facts(record: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was done, in pairs of name and value; those that are not known are left out."""
    weights, span = record.get("weights") or {}, settings.get("magnitudes")
    rows = [
        ("finished", str(record.get("finished") or "").replace("T", " ")),
        ("wall time", text.duration(record.get("wall_seconds"))),
        ("rounds", str(settings.get("rounds") or "")),
        ("seed", str(settings["seed"]) if "seed" in settings else ""),
        ("density", f"{settings['density']:g} per arcmin²" if settings.get("density") else "chosen for each field"),
        ("magnitudes", f"{span[0]:g} to {span[1]:g}" if span else "chosen from the depth of each field"),
        ("weights", " ".join(str(weights[key]) for key in ("name", "version") if weights.get(key))),
        ("weights, SHA-256", str(weights.get("sha256") or "")),
        ("configuration, SHA-256", str(record.get("config_sha256") or "")),
        ("software", f"{record.get('creator', '')}, {record.get('software', '')}".strip(", ")),
    ]
    return [(name, value) for name, value in rows if value]
