"""The results of injections, into one field or into a whole survey."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray

from astrogalaxy.catalog import SourceCatalog
from astrogalaxy.errors import ImageError
from astrogalaxy.evaluation.injection import tables
from astrogalaxy.evaluation.injection.conditions import FieldConditions
from astrogalaxy.evaluation.injection.curve import CompletenessCurve
from astrogalaxy.evaluation.injection.psf import choose_stars
from astrogalaxy.evaluation.intervals import share
from astrogalaxy.tables import numbers_of

__all__ = ["Baseline", "Recovery", "Round", "join"]

# Injected stars above this signal to noise are compared with the field's own.
_CLEAR_SNR, _FEWEST_STARS = 50.0, 5
# The mirrored frame tells nothing of a field whose sources leave less than this share of it free.
_LEAST_FREE = 0.05
# An excess of this many standard deviations is no accident.
_SURELY = 5.0


@dataclass(frozen=True)
class Baseline:
    """A field before anything is injected.

    Attributes
    ----------
    name : str
        The field.
    catalog : SourceCatalog
        Its own sources.
    brief, false : Table
        ``mag``, ``det_score`` and ``class`` of its own sources, and of those found on the mirrored field.
    free : float
        Share of the field that is left when its own sources are masked, as in the mirrored field.
    conditions : FieldConditions
        How the field sees sources.
    area : float
        Of the reference band's good pixels, square arcmin.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.evaluation.injection import Injection, look
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=128, seed=2, artefacts=False)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}, zeropoint=22.5)
    >>> base = look(image, ag.detect, Injection(seeing=1.2))
    >>> base.name, 0 < base.free < 1, round(base.area, 2)  # square arcmin
    ('field', True, 0.71)
    """

    name: str
    catalog: SourceCatalog
    brief: Table
    false: Table
    free: float
    conditions: FieldConditions
    area: float


@dataclass(frozen=True)
class Round:
    """One round of injections into one field.

    Attributes
    ----------
    number : int
        Of the round.
    injected : Table
        What was injected, and what became of it; see `Recovery`.
    extra : Table
        What else turned up; see `Recovery`.
    near : float
        Share of the field that is beside an injected source.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection import Round
    >>> made = Round(0, injected=Table({"found": [True, False]}), extra=Table(), near=0.02)
    >>> int(made.injected["found"].sum())
    1
    """

    number: int
    injected: Table
    extra: Table
    near: float


@dataclass(frozen=True)
class Recovery:
    """The results of injections, into one field or several fields of one survey.

    Attributes
    ----------
    injected : Table
        A row per injected source: ``field``, ``round``, ``class`` (star, galaxy), ``x``, ``y``,
        ``ra``, ``dec``, ``mag_<band>`` (AB, or instrumental), ``flux_<band>``, ``half_light_radius``
        (arcsec along the major axis, without seeing; 0 for stars), ``snr`` (matched filter, all
        bands); ``found``, ``confused`` (not found, where the frame has a source of its own),
        and as what it was found: ``found_class``, ``found_flags``, ``found_<column>``; empty, -1 and NaN
        where it was not.
    catalog : Table
        Sources of the untouched frames: ``field``, ``mag``, ``det_score``, ``class``.
    false : Table
        Sources of the mirrored frames: the same, and ``weight``: how many on the whole frame each stands for.
    extra : Table
        Sources of the injected frames that are neither injected nor were there before: ``field``,
        ``round``, ``mag``, ``det_score``, ``class``, ``x``, ``y``, ``near`` (beside an injected one).
    fields : list of dict
        A record of each field: area, depth, point spread, counts, and ``star_width``, how wide
        injected stars come out against the field's own (1 where the point spread is right).
    bands : tuple of str
        Bands.
    reference : str
        The reference band.
    calibrated : bool
        Whether its magnitudes are AB.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from astrogalaxy.evaluation.injection import Recovery
    >>> injected = Table({"class": ["star"] * 3, "mag_r": [20.1, 20.2, 21.3], "half_light_radius": [0.0] * 3})
    >>> injected["found"], injected["confused"] = [True, False, True], False
    >>> recovery = Recovery(injected, Table(), Table(), Table(), [], ("r",), "r", calibrated=True)
    >>> recovery.completeness()["completeness"].tolist()
    [0.5, 1.0]
    """

    injected: Table
    catalog: Table
    false: Table
    extra: Table
    fields: list[dict[str, Any]]
    bands: tuple[str, ...]
    reference: str
    calibrated: bool

    @cached_property
    def curves(self) -> list[tuple[str, float, float, CompletenessCurve]]:
        """Fitted curves of stars, galaxies, and galaxies by size: class, radii in arcsec (NaN: all), curve."""
        return tables.curves(self.injected, band=self.reference)

    def completeness(self) -> Table:
        """Completeness by magnitude; see `~astrogalaxy.evaluation.injection.tables.completeness_table`."""
        return tables.completeness_table(self.injected, band=self.reference)

    def classification(self) -> Table:
        """Stars and galaxies told apart; see `~astrogalaxy.evaluation.injection.tables.classification_table`."""
        return tables.classification_table(self.injected, band=self.reference)

    def photometry(self) -> Table:
        """Bias and scatter of fluxes; see `~astrogalaxy.evaluation.injection.tables.photometry_table`."""
        return tables.photometry_table(self.injected, bands=self.bands)

    def positions(self) -> Table:
        """Bias and scatter of positions; see `~astrogalaxy.evaluation.injection.tables.position_table`."""
        return tables.position_table(self.injected, band=self.reference)

    def purity(self) -> Table:
        """Purity by magnitude; see `~astrogalaxy.evaluation.injection.tables.purity_table`.

        Fields whose mirror image shows more than noise are left out (``mirror`` in their record).
        """
        noise = [record["name"] for record in self.fields if record["mirror"] == "noise"]
        catalog, false = (table[np.isin(table["field"], noise)] for table in (self.catalog, self.false))
        return tables.purity_table(catalog, false)

    def summary(self) -> dict[str, Any]:
        """The numbers that matter, as plain values for JSON; None where there is none."""
        n_found, overall = int(np.sum(self.injected["found"])), self.purity()[:1]
        return {
            "reference": self.reference,
            "magnitudes": "AB" if self.calibrated else "instrumental",
            "injected": len(self.injected),
            "found": n_found,
            "confused": int(np.sum(self.injected["confused"])),
            "limits": [_limit_record(*entry) for entry in self.curves],
            "purity": [_plain(overall[name][0]) for name in ("purity", "low", "high")] if len(overall) else None,
            "false": _plain(overall["n_false"][0]) if len(overall) else None,
            "det_score_says": _plain(overall["said"][0]) if len(overall) else None,
            "extra": self._extra(n_found),
            "fields": self.fields,
        }

    def lines(self) -> list[str]:
        """The summary for a terminal: a line each for stars, galaxies and purity."""
        n_found = int(np.sum(self.injected["found"]))
        where = "one field" if len(self.fields) == 1 else f"{len(self.fields)} fields"
        lines = [f"{len(self.injected)} sources injected into {where}, {n_found} found"]
        for kind, low, _, curve in self.curves:
            if not np.isfinite(low):
                magnitudes = numbers_of(self.injected, f"mag_{self.reference}")
                faintest = float(np.nanmax(magnitudes[np.asarray(self.injected["class"]).astype(str) == kind]))
                half, ninety = (_words(curve, part, faintest) for part in (0.5, 0.9))
                what = "stars" if kind == "star" else "galaxies"
                sign = " =" if math.isfinite(curve.half.value) else ""
                lines.append(f"{what}: 50 % complete at {self.reference}{sign} {half}, 90 % at {ninety}")
        overall = self.purity()[:1]
        if len(overall) and np.isfinite(overall["purity"][0]):
            share, low, high = (100 * float(overall[name][0]) for name in ("purity", "low", "high"))
            lines.append(f"purity against noise: {share:.1f} % [{low:.1f}, {high:.1f}]")
        else:
            lines.append("purity against noise: not known, the fields are too crowded")
        return lines

    def _extra(self, n_found: int) -> dict[str, Any]:
        """How many sources turned up beside injected ones, how many of them by chance, and elsewhere."""
        near = int(np.sum(self.extra["near"])) if len(self.extra) else 0
        away, chance = len(self.extra) - near, 0.0
        for record in self.fields:
            mine = self.extra[np.asarray(self.extra["field"]) == record["name"]] if len(self.extra) else self.extra
            beside = min(record["near"], 0.99)
            chance += float(np.sum(~np.asarray(mine["near"], bool))) * beside / (1 - beside) if len(mine) else 0.0
        per_found = [_plain(value) for value in astuple(share(near, max(n_found, near, 1)))]
        return {"near": near, "near_by_chance": _plain(chance), "near_per_found": per_found, "elsewhere": away}


def join(results: Sequence[tuple[Baseline, Sequence[Round]]]) -> Recovery:
    """Put the rounds of one field, or of several of one survey, together.

    Parameters
    ----------
    results : sequence of (Baseline, sequence of Round)
        Fields without a round are left out.

    Returns
    -------
    Recovery
        Of all rounds.

    Raises
    ------
    ImageError
        If there is no round at all.

    Examples
    --------
    >>> import astrogalaxy as ag
    >>> from astrogalaxy.evaluation.injection import Injection, join, look, recover_round
    >>> from astrogalaxy.simulation import PROFILES, simulate_scene
    >>> scene = simulate_scene(PROFILES["sdss"], size=192, seed=2, artefacts=False)
    >>> image = ag.Image.read({"r": (scene.images["r"], scene.wcs["r"])}, zeropoint=22.5)
    >>> base = look(image, ag.detect, Injection(seeing=1.2))
    >>> recovery = join([(base, [recover_round(image, base, ag.detect, number=0)])])
    >>> recovery.bands, len(recovery.injected) > 0
    (('r',), True)
    """
    results = [(base, rounds) for base, rounds in results if rounds]
    if not results:
        msg = "no round of injections was done"
        raise ImageError(msg)
    every = [(base, made) for base, rounds in results for made in rounds]
    conditions = results[0][0].conditions
    false = []
    for base, _ in results:
        table = _of(base.false, base.name)
        table["weight"] = np.full(len(table), 1 / max(base.free, 1e-6))
        false.append(table)
    return Recovery(
        _stack([_of(made.injected, base.name, made.number) for base, made in every]),
        _stack([_of(base.brief, base.name) for base, _ in results]),
        _stack(false),
        _stack([_of(made.extra, base.name, made.number) for base, made in every]),
        [_field_record(base, rounds) for base, rounds in results],
        tuple(dict.fromkeys(band for base, _ in results for band in base.conditions.spreads)),
        conditions.reference,
        conditions.calibrated[conditions.reference],
    )


def _of(table: Table, field: str, number: int | None = None) -> Table:
    """The table with the field and the round in front."""
    table = table.copy()
    if number is not None:
        table.add_column(np.full(len(table), number), name="round", index=0)
    table.add_column(np.full(len(table), field, dtype=f"U{max(len(field), 1)}"), name="field", index=0)
    return table


def _stack(parts: Sequence[Table]) -> Table:
    """One table of several; a band that one of them lacks is NaN there."""
    table = vstack(list(parts), metadata_conflicts="silent")
    for name in table.colnames:
        if hasattr(table[name], "mask") and table[name].dtype.kind == "f":
            table[name] = table[name].filled(np.nan)
    return table


def _field_record(base: Baseline, rounds: Sequence[Round]) -> dict[str, Any]:
    conditions, n = base.conditions, sum(len(made.injected) for made in rounds)
    return {
        "name": base.name,
        "area": round(base.area, 4),
        "sources": len(base.catalog),
        "rounds": len(rounds),
        "injected": n,
        "density": round(n / len(rounds) / base.area, 4),
        "found": sum(int(made.injected["found"].sum()) for made in rounds),
        "depth": round(conditions.depth, 3),
        "point_spread": _point_spreads(conditions),
        "photon_noise": dict(conditions.photon_noise),
        "star_width": _plain(_star_width(base, rounds)),
        "false": len(base.false),
        "free": round(base.free, 4),
        "mirror": _mirror(base),
        "near": round(float(np.mean([made.near for made in rounds])), 4),
        "zeropoints": {
            band: round(value, 3) if conditions.calibrated[band] else None
            for band, value in conditions.zeropoints.items()
        },
    }


def _mirror(base: Baseline) -> str:
    """What the mirrored field shows: ``noise``; ``gaps`` between blended sources; ``nothing``, masked as it is.

    Noise cannot give more sources of a magnitude than the field has, where it is among them.
    """
    if base.free < _LEAST_FREE:
        return "nothing"
    false = np.asarray(base.false["mag"], dtype=float)
    false = false[np.isfinite(false)]
    if not len(false):
        return "noise"
    edges = np.arange(np.floor(false.min()), np.floor(false.max()) + 2)
    mine, theirs = (np.histogram(np.asarray(table["mag"]), edges)[0] for table in (base.brief, base.false))
    expected, spread = theirs / base.free, np.sqrt(theirs / base.free**2 + mine)
    return "gaps" if np.any(expected > mine + _SURELY * spread) else "noise"


def _point_spreads(conditions: FieldConditions) -> dict[str, dict[str, float]]:
    return {
        band: {
            "fwhm": round(spread.fwhm * conditions.scales[band], 4),
            "beta": round(spread.beta, 3),
            "shear": round(float(np.hypot(*spread.shear)), 4),
            "stars": spread.n_stars,
            "given": spread.given,
        }
        for band, spread in conditions.spreads.items()
    }


def _star_width(base: Baseline, rounds: Sequence[Round]) -> float:
    """Half-light radius of clear injected stars over that of the stars whose shape they have."""
    real = np.asarray(base.catalog["half_light_radius"], dtype=float)[choose_stars(base.catalog)]
    ours = np.concatenate([_clear_star_radii(made.injected) for made in rounds])
    if min(len(ours), len(real)) < _FEWEST_STARS:
        return float("nan")
    return float(np.nanmedian(ours) / np.nanmedian(real))


def _clear_star_radii(injected: Table) -> NDArray[np.float64]:
    clear = np.asarray(injected["found"], bool) & (np.asarray(injected["class"]).astype(str) == "star")
    clear &= (np.asarray(injected["snr"]) > _CLEAR_SNR) & (np.asarray(injected["found_flags"]) == 0)
    return np.asarray(injected["found_half_light_radius"], dtype=float)[clear]


def _limit_record(kind: str, low: float, high: float, curve: CompletenessCurve) -> Mapping[str, Any]:
    return {
        "class": kind,
        "radius": [_plain(low), _plain(high)],
        "half": [_plain(edge) for edge in astuple(curve.half)],
        "ninety": [_plain(edge) for edge in astuple(curve.ninety)],
        "bright": _plain(curve.top),
        "n": curve.n,
    }


def _words(curve: CompletenessCurve, part: float, faintest: float) -> str:
    """Where a curve falls through a share, one half or nine tenths; it may do so beyond what was injected, or never."""
    value, low, high = astuple(curve.half if part == 0.5 else curve.ninety)
    if math.isfinite(value):
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"
    if curve(faintest) >= part:
        return f"fainter than {faintest:.1f} (the faintest injected)"
    return "no magnitude that was injected"


def _plain(value: Any) -> float | None:
    """A number for JSON; None where it is not finite."""
    return round(float(value), 6) if value is not None and math.isfinite(value) else None
