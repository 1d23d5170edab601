"""Put the report together and write it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from astrogalaxy.catalog import FLAGS, SourceCatalog, count_flags, flag_bits
from astrogalaxy.formats import format_of
from astrogalaxy.survey.facts import Depth, FieldFacts, class_counts, values
from astrogalaxy.survey.gallery import Gallery
from astrogalaxy.survey.preview import Preview
from astrogalaxy.survey.report import text
from astrogalaxy.survey.report.charts import all_charts
from astrogalaxy.survey.report.page import MOST_FAILURES, MOST_FIELDS, write_page
from astrogalaxy.survey.report.pictures import FieldView, field_view

__all__ = ["write_report"]

#: So many fields are shown as pictures, and so many rows of the table of inputs.
MOST_PICTURES, MOST_INPUTS = 12, 50
# Bytes for all pictures together, and for one field's at most.
_ALL_PICTURES, _ONE_PICTURE = 4_000_000, 750_000

_STATUS = {
    "complete": ("complete", "Everything was done."),
    "partial": ("partial", "A catalogue was written, but not everything could be done."),
    "failed": ("failed", "Nothing could be done."),
}
_STAGES = {
    "plan": "headers and hashes",
    "read": "read images, measure the sky",
    "align": "align bands",
    "detect": "detect and classify",
    "measure": "measure",
    "morphology": "classify galaxies",
    "write": "write tiles",
    "merge": "merge",
    "catalog": "write catalogue",
    "report": "write report",
}
# Where fields overlap, the area that they cover together is known to about this.
_KNOWN_AREA = 0.005
_TIMES = "\N{MULTIPLICATION SIGN}"
_OVER_TILES = ("read", "align", "detect", "measure", "morphology", "write")


def write_report(
    path: str | os.PathLike[str],
    *,
    run: Mapping[str, Any],
    catalog: SourceCatalog,
    facts: Sequence[FieldFacts],
    previews: Mapping[str, Sequence[Preview]],
    gallery: Gallery | None = None,
    step: int = 1,
) -> None:
    """Write the report of a run: one HTML file that needs nothing else, atomically.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    run : mapping
        The run's record, as in ``run.json``; only ``name`` must be there, the rest is shown
        where it is. Beyond what a run records, ``run["weights"]`` may hold ``metrics``
        (numbers by name) and ``reliability`` (for each head points of probability and share
        that came true).
    catalog : SourceCatalog
        All sources, or one of every ``step``; may be empty. NaN is left out of charts.
    facts : sequence of FieldFacts
        Those of its fields by `~astrogalaxy.survey.facts.field_facts`, of the same record and catalogue.
    previews : mapping of str to sequence of Preview
        Those of the tiles of each field, by the field's name; a field without has no picture.
        Only the fields that are shown are asked for, so that it may load them when asked; see
        `~astrogalaxy.survey.preview.StoredPreviews`.
    gallery : Gallery, optional
        Pictures of classified galaxies.
    step : int, optional
        If more than 1, numbers of sources are those of ``run["counts"]``, and the page says what is of a sample.

    Raises
    ------
    RunError
        If the file cannot be written.
    """
    context = _context(run, catalog, facts, previews, step) | {"gallery": gallery.sheets() if gallery else []}
    write_page(path, "report.html.j2", context)


def _context(
    run: Mapping[str, Any],
    catalog: SourceCatalog,
    facts: Sequence[FieldFacts],
    previews: Mapping[str, Sequence[Preview]],
    step: int,
) -> dict[str, Any]:
    """Everything that the template shows."""
    counts = run["counts"] if step > 1 else class_counts(catalog) | {"flags": count_flags(catalog["flags"])}
    bands = [str(band) for band in run.get("bands") or catalog.bands]
    reference = str(run.get("reference") or (bands[len(bands) // 2] if bands else ""))
    views, more = _views(facts, catalog, previews, reference)
    failures, varying = list(run.get("failures") or ()), _varying(facts, bands)
    stages, about, inputs = _stage_rows(run), _run_facts(run), _inputs(facts)
    versions = sorted((run.get("versions") or {}).items())
    clean = int(np.count_nonzero(np.asarray(catalog["flags"]) == 0)) * step
    word, sentence = _STATUS.get(str(run.get("status")), (str(run.get("status") or "unknown"), ""))
    return {
        "run": run,
        "name": str(run.get("name", "")),
        "status": word,
        "sentence": sentence,
        "finished": text.moment(run.get("finished")),
        "bands": bands,
        "reference": reference,
        "dash": text.NOTHING,
        "tiles_summary": _headline(run, catalog, counts, facts, reference),
        "views": views,
        "more_views": more,
        "fields": [_field_row(f, bands, varying) for f in _worst_first(facts)[:MOST_FIELDS]],
        "more_fields": max(len(facts) - MOST_FIELDS, 0),
        "calibrated": bool(set(bands) & set(catalog.calibrated)),
        "tables": _tables(run),
        "failures": failures[:MOST_FAILURES],
        "n_failures": len(failures),
        "charts": all_charts(run, catalog, facts, reference=reference),
        "flags": _flag_rows(counts["flags"], counts["sources"]),
        "n_clean": clean,
        "clean_share": text.share(clean, counts["sources"]),
        "doubtful": flag_bits("edge", "saturated", "masked", "missing_band"),
        "has_run": bool(stages or about or versions or inputs),
        "stages": stages,
        "facts": about,
        "inputs": inputs[:MOST_INPUTS],
        "more_inputs": max(len(inputs) - MOST_INPUTS, 0),
        "versions": versions,
        "metrics": [
            (name.replace("ece", "calibration_error").replace("_", " "), value)
            for name, value in sorted(((run.get("weights") or {}).get("metrics") or {}).items())
        ],
        "columns": [(c, str(catalog[c].unit or ""), catalog[c].description or "") for c in catalog.colnames],
        "n_sources": counts["sources"],
        "step": step,
    }


def _worst_first(facts: Sequence[FieldFacts]) -> list[FieldFacts]:
    """Fields that failed, those of which something failed, and the others: the table ends before all are in it."""
    order = {"failed": 0, "partial": 1}
    return sorted(facts, key=lambda field: order.get(field.status, len(order)))


def _tables(run: Mapping[str, Any]) -> list[str]:
    """Names of the written files that hold the catalogue with all columns."""
    formats = {str(file["name"]): format_of(file["name"]) for file in run.get("files") or ()}
    return [name for name, form in formats.items() if form is not None and form.holds == "table"]


def _views(
    facts: Sequence[FieldFacts],
    catalog: SourceCatalog,
    previews: Mapping[str, Sequence[Preview]],
    reference: str,
) -> tuple[list[FieldView], int]:
    """Pictures of the first fields that have any, and how many more fields there are."""
    shown = [f for f in facts if min(f.shape) > 0 and f.status != "failed" and f.name in previews]
    budget = min(_ONE_PICTURE, _ALL_PICTURES // max(min(len(shown), MOST_PICTURES), 1))
    views: list[FieldView] = []
    for tried, field in enumerate(shown, start=1):
        # asked for one field at a time: they may come from the disk, and all together be large
        if tiles := list(previews[field.name]):
            views.append(field_view(field, catalog[field.rows], tiles, reference=reference, budget=budget))
        if len(views) == MOST_PICTURES:
            return views, len(shown) - tried
    return views, 0


def _headline(
    run: Mapping[str, Any],
    catalog: SourceCatalog,
    counts: Mapping[str, Any],
    facts: Sequence[FieldFacts],
    reference: str,
) -> list[tuple[str, str, str]]:
    """The numbers on top: name, value, and a word about it."""
    n = counts["sources"]
    done = sum(f.status == "done" for f in facts)
    searched, how = _searched(run, facts)
    rows = [
        ("sources", text.count(n), _expected(catalog)),
        ("galaxies", text.count(counts["galaxies"]), text.share(counts["galaxies"], n)),
        ("stars", text.count(counts["stars"]), text.share(counts["stars"], n)),
        ("unsure", text.count(counts["unsure"]), text.share(counts["unsure"], n)),
        ("fields", text.count(done), f"of {text.count(len(facts))} complete"),
        ("area", text.area(searched), _density(n, searched) + how),
    ]
    sharp = [f.seeing.median for f in facts if f.seeing is not None]
    if sharp:
        spread = f"{min(sharp):.2f} to {max(sharp):.2f}″" if len(sharp) > 1 else "median FWHM of stars"
        rows.append(("seeing", f"{np.median(sharp):.2f}″", spread))
    deep = [f.depth[reference] for f in facts if reference in f.depth]
    if deep:
        middle = Depth(float(np.median([d.value for d in deep])), deep[0].is_magnitude)
        word = "AB, fixed aperture" if middle.is_magnitude else "image units, fixed aperture"
        rows.append((f"5\N{GREEK SMALL LETTER SIGMA} depth in {reference}", _depth(middle), word))
    rows.append(("wall time", text.duration(run.get("wall_seconds")), _speed(run)))
    return rows


def _searched(run: Mapping[str, Any], facts: Sequence[FieldFacts]) -> tuple[float, str]:
    """Square arcsec of sky that were searched, and how overlaps of fields are counted where there may be some."""
    fields = float(np.nansum([f.area for f in facts])) if facts else 0.0
    if run.get("area") is None:
        return fields, "; sum of the fields, overlaps counted repeatedly" if len(facts) > 1 else ""
    together = float(run["area"]) * 3600**2
    overlap = len(facts) > 1 and together < (1 - _KNOWN_AREA) * fields
    return together, ", overlaps counted once" if overlap else ""


def _expected(catalog: SourceCatalog) -> str:
    """How many of the sources are real, if the network's probabilities hold."""
    score = values(catalog, "det_score")
    known = score[np.isfinite(score)]
    return f"{100 * known.mean():.1f} % expected to be real" if len(known) else ""


def _density(n: int, square_arcsec: float) -> str:
    return f"{text.number(n / (square_arcsec / 3600), 1)} sources per arcmin²" if square_arcsec > 0 else ""


def _speed(run: Mapping[str, Any]) -> str:
    """Millions of pixels of every band in a second."""
    pixels = sum(float(tile.get("pixels") or 0) for tile in run.get("tiles") or () if tile.get("status") == "done")
    seconds = run.get("wall_seconds") or 0
    return (
        f"{pixels * len(run.get('bands') or ()) / 1e6 / seconds:.1f} Mpix/s over all bands"
        if pixels and seconds
        else ""
    )


def _depth(depth: Depth | None) -> str:
    if depth is None:
        return text.NOTHING
    return text.number(depth.value) if depth.is_magnitude else f"{depth.value:.3g}"


def _field_row(facts: FieldFacts, bands: Sequence[str], varying: Sequence[str]) -> dict[str, Any]:
    """One row of the table of fields, as text."""
    from astropy.coordinates import Angle

    ra, dec = facts.centre
    where = ""
    if np.isfinite(ra) and np.isfinite(dec):
        hours = Angle(ra, "deg").to_string(unit="hourangle", sep=":", precision=0, pad=True)
        degrees = Angle(dec, "deg").to_string(unit="deg", sep=":", precision=0, pad=True, alwayssign=True)
        where = f"{hours} {degrees}".replace("-", "\N{MINUS SIGN}")
    sharp = facts.seeing
    return {
        "name": facts.name,
        "status": facts.status,
        "where": where or text.NOTHING,
        "size": _extent(facts),
        "bands": _present(facts.bands, bands)
        + _zeropoints(facts, varying)
        + _given(facts.psfs)
        + _shifted(facts.shifts)
        + _uncorrected(facts.uncorrected),
        "tiles": f"{facts.tiles[0]} of {_several(facts.tiles[1], 'tile')}" if facts.tiles[1] else "",
        **{name: text.count(n) for name, n in facts.counts.items()},
        "seeing": f"{sharp.median:.2f} ± {sharp.spread:.2f}" if sharp else text.NOTHING,
        "n_stars": f"from {text.count(sharp.n_stars)} stars" if sharp else "too few good stars",
        "depth": [_depth(facts.depth.get(band)) for band in bands],
    }


def _extent(facts: FieldFacts) -> str:
    ny, nx = facts.shape
    if not nx or not ny:
        return ""
    scale = f", {text.number(facts.pixel_scale, 3)}″/px" if np.isfinite(facts.pixel_scale) else ""
    return f"{nx} {_TIMES} {ny} px{scale}"


def _present(mine: Sequence[str], bands: Sequence[str]) -> str:
    """Which bands a field has, and which it lacks."""
    lacking = [band for band in bands if band not in mine]
    have = f"bands {' '.join(mine)}" if mine else "no bands"
    return have + (f", without {' '.join(lacking)}" if lacking and mine else "")


def _varying(facts: Sequence[FieldFacts], bands: Sequence[str]) -> list[str]:
    """Bands whose zero points are not the same in all fields."""
    return [band for band in bands if len({f.headers[band].get("zeropoint") for f in facts if band in f.headers}) > 1]


def _zeropoints(facts: FieldFacts, varying: Sequence[str]) -> str:
    """Zero points of a field, in the bands in which other fields have others."""
    values = {band: header.get("zeropoint") for band, header in facts.headers.items()}
    known = [(band, value) for band in varying if (value := values.get(band)) is not None]
    each = [f"{band} {text.number(value)}" for band, value in known]
    return f", zero point{'s'[: len(each) > 1]} {', '.join(each)}" if each else ""


def _given(psfs: Sequence[str]) -> str:
    """In which bands the point spread was given."""
    return f", point spread given in {' '.join(psfs)}" if psfs else ""


def _shifted(shifts: Mapping[str, tuple[float, float]]) -> str:
    """Which bands' WCS did not agree with the reference's, and by how much."""
    return "".join(f", {band} shifted {text.number(np.hypot(*shift), 2)} px" for band, shift in shifts.items())


def _uncorrected(fluxes: Mapping[str, Sequence[str]]) -> str:
    """Which fluxes of points are NaN, though the field has stars."""
    return "".join(f", no {flux} in {' '.join(bands)}" for flux, bands in fluxes.items())


def _flag_rows(counts: Mapping[str, int], n: int) -> list[dict[str, Any]]:
    return [
        {
            "name": flag.name,
            "value": flag.value,
            "meaning": flag.description,
            "count": text.count(counts[flag.name]),
            "share": text.share(counts[flag.name], n),
        }
        for flag in FLAGS.values()
    ]


def _stage_rows(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Stages with their times, for bars as long as their share of the longest."""
    seconds = {key: float(value) for key, value in (run.get("seconds") or {}).items() if value is not None}
    known = [key for key in _STAGES if key in seconds] + [key for key in seconds if key not in _STAGES]
    longest = max(seconds.values(), default=0.0) or 1.0
    return [
        {
            "name": _STAGES.get(key, key),
            "time": text.duration(seconds[key]),
            "percent": f"{max(100 * seconds[key] / longest, 0.4):.1f}",
            "summed": key in _OVER_TILES,
        }
        for key in known
    ]


def _run_facts(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the run was, in pairs of name and value; those that are not known are left out."""
    weights = run.get("weights") or {}
    tiles = [str(tile.get("status")) for tile in run.get("tiles") or ()]
    words = {"done": "done", "kept": "kept from an earlier run", "failed": "failed"}
    by_status = [f"{tiles.count(status)} {word}" for status, word in words.items() if status in tiles]
    workers, threads = run.get("workers"), run.get("threads") or 1
    compute = f"{_several(workers, 'worker')} {_TIMES} {_several(threads, 'thread')} on {run.get('device', 'cpu')}"
    duplicates = (run.get("counts") or {}).get("duplicates")
    rows = [
        ("started", str(run.get("started") or "").replace("T", " ")),
        ("finished", str(run.get("finished") or "").replace("T", " ")),
        ("computed by", compute if workers else ""),
        ("tiles", text.joined(by_status) if by_status else ""),
        ("seen in two fields", f"{text.count(duplicates)} sources, each kept once" if duplicates is not None else ""),
        ("weights", " ".join(str(weights[key]) for key in ("name", "version") if weights.get(key))),
        ("weights, SHA-256", weights.get("sha256")),
        ("configuration, SHA-256", run.get("config_sha256")),
    ]
    return [(name, str(value)) for name, value in rows if value]


def _several(n: Any, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _inputs(facts: Sequence[FieldFacts]) -> list[dict[str, Any]]:
    return [
        {"field": f.name, "band": band, "file": PurePath(entry.get("path") or "").name, **entry}
        for f in facts
        for band, entry in f.inputs.items()
    ]
