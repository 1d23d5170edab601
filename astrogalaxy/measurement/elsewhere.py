"""Sources that the reference band hardly shows: centre and shape from the band that shows them best.

A source with a drop in its spectrum between two bands has no light in the one. There its centroid and its ellipse would
follow the noise, and its light in the other band would be summed beside it. So it is located where it is seen, among
its neighbours there, and centre and shape are carried over to the reference's pixels and seeing, where they stay. For
all that follows it is then a source like the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from astrogalaxy.images.emptyapertures import noise_factor
from astrogalaxy.images.tiling import Section
from astrogalaxy.measurement.locate import Given, Located, Start
from astrogalaxy.measurement.neighbours import neighbours
from astrogalaxy.measurement.photometry import circle_sums
from astrogalaxy.measurement.places import Places, section_around, with_seeing
from astrogalaxy.measurement.reference import centre_scatter, locate_in_band, read_canvas

if TYPE_CHECKING:
    from astrogalaxy.images import Band, Image
    from astrogalaxy.measurement.canvas import Canvas
    from astrogalaxy.measurement.starlight import Starlight

__all__ = ["look_elsewhere"]

# From this signal to noise on a source is clear enough in the reference band, whatever others show.
_CLEAR = 10.0
# Another band must show it with at least this signal to noise, and so many times that of the reference band.
_SEEN, _CLEARER = 5.0, 2.0
# Radius of the aperture in which that is looked for, in rms sizes of the source: the best for a Gaussian one.
_APERTURE = 1.585


def look_elsewhere(
    image: Image,
    canvas: Canvas,
    start: Start,
    guess: Places,
    stars: dict[str, Starlight],
    *,
    circles: np.ndarray,
    kron_factor: float,
) -> Start:
    """Locate sources that the reference band hardly shows in the band that shows each of them best.

    Parameters
    ----------
    image : Image
        The bands.
    canvas : Canvas
        Pixels of the reference band around the sources.
    start : Start
        First guess in pixels of the whole reference band; nothing given yet.
    guess : Places
        Where that is.
    stars : dict of str to Starlight
        Of the field, by band.
    circles : ndarray, shape (k,)
        Radii of the fixed apertures, arcsec.
    kron_factor : float
        Total aperture in Kron radii.

    Returns
    -------
    Start
        The same, with what other bands have given.
    """
    least, home = _homes(image, canvas, start, guess)
    x, y, held, given = start.x.copy(), start.y.copy(), start.held.copy(), Given.nothing(len(start.x))
    for name in np.unique(home[home != ""].astype(str)):
        pair = stars[image.reference], stars[name]
        wanted = np.where(home == name, least, np.inf)
        index, places, found = _found_in(
            image.bands[name], start, guess, wanted, pair, circles=circles, kron_factor=kron_factor
        )
        inside = canvas.section.contains(places.x, places.y)
        index, places, found = index[inside], places.take(inside), found.take(inside)
        for old, new in ((x, places.x), (y, places.y)):
            old[index] = np.where(start.held[index], old[index], new)
        held[index] = True
        given.put(index, found)
    return replace(start, x=x, y=y, held=held, given=given)


def _homes(image: Image, canvas: Canvas, start: Start, guess: Places) -> tuple[np.ndarray, np.ndarray]:
    """Signal to noise that another band must exceed, and the band with most of it; empty where none exceeds it."""
    radius = _APERTURE * start.sigma
    x0, y0 = canvas.origin
    light, error = circle_sums(canvas.data, canvas.noise, start.x - x0, start.y - y0, radius)
    least, home = np.maximum(_SEEN, _CLEARER * light / error), np.full(len(light), "", dtype=object)
    faint = np.flatnonzero(light < _CLEAR * error)
    best = least.copy()
    for name, band in image.bands.items():
        if name != image.reference and len(faint):
            ratio = _signal_to_noise(band, guess.take(faint), radius[faint])
            more = ratio > best[faint]
            best[faint[more]], home[faint[more]] = ratio[more], name
    return least, home


def _signal_to_noise(band: Band, guess: Places, radius: np.ndarray) -> np.ndarray:
    """Signal to noise of the light in circles, of radii in pixels of `guess`; 0 where the band does not reach."""
    places = guess.on(band)
    radius = radius * guess.ratio(places)
    result = np.zeros(len(radius))
    inside = np.flatnonzero(places.covered & (radius > 0))
    if len(inside):
        x, y, radius = places.x[inside], places.y[inside], radius[inside]
        pixels = band.pixels(section_around(x, y, radius, Section.whole(band.shape)))
        data, noise = (np.require(part, np.float32, ["C", "W", "A"]) for part in (pixels.data, pixels.noise))
        light, error = circle_sums(data, noise, x - pixels.section.x0, y - pixels.section.y0, radius)
        result[inside] = light / (error * noise_factor(band))
    return result


def _found_in(
    band: Band,
    start: Start,
    guess: Places,
    least: np.ndarray,
    stars: tuple[Starlight, Starlight],
    *,
    circles: np.ndarray,
    kron_factor: float,
) -> tuple[np.ndarray, Places, Given]:
    """Sources that a band shows with more than the `least` signal to noise, their places, and what is known of them.

    Places and all else are in pixels and seeing of the reference, whose stars come first.
    """
    members = _and_neighbours(start, np.isfinite(least))
    in_reference = guess.take(members)
    in_band = in_reference.on(band)
    inside = in_band.covered & (in_reference.ratio(in_band) > 0)
    members, in_reference, in_band = members[inside], in_reference.take(inside), in_band.take(inside)
    begin = _carried(start, members, in_reference, in_band)
    canvas = read_canvas(band, section_around(in_band.x, in_band.y, begin.half, Section.whole(band.shape)))
    located = locate_in_band(canvas, begin, in_band, stars[1], circles=circles, kron_factor=kron_factor)
    shapes = located.shapes
    rows = np.flatnonzero(shapes.clarity(canvas.noise_at(shapes.x, shapes.y)) > least[members])
    in_band = in_band.take(rows).moved(shapes.x[rows] + canvas.origin[0], shapes.y[rows] + canvas.origin[1])
    in_reference = in_band.on(guess.band)
    return members[rows], in_reference, _given(canvas, located, rows, in_band, in_reference, stars)


def _and_neighbours(start: Start, wanted: np.ndarray) -> np.ndarray:
    """Some sources, and those whose light may reach them."""
    i, j = neighbours(start.x, start.y, start.reach, start.extent)
    return np.union1d(np.flatnonzero(wanted), j[wanted[i]])


def _carried(start: Start, members: np.ndarray, in_reference: Places, in_band: Places) -> Start:
    """First guess of some sources in pixels of another band; boxes hold what the turned ones held."""
    across, half = in_reference.across(in_band), start.half[members] * in_reference.ratio(in_band)
    edges = [
        across * np.column_stack([x - start.x, y - start.y])[members, None, :]
        for x, y in ((start.x_min, start.y_min), (start.x_max, start.y_max))
    ]
    low, high = np.minimum(*edges).sum(axis=2), np.maximum(*edges).sum(axis=2)
    sides = in_band.x + low[:, 0], in_band.x + high[:, 0], in_band.y + low[:, 1], in_band.y + high[:, 1]
    return Start(in_band.x, in_band.y, half, *sides, start.held[members], Given.nothing(len(members)))


def _given(
    canvas: Canvas,
    located: Located,
    rows: np.ndarray,
    in_band: Places,
    in_reference: Places,
    stars: tuple[Starlight, Starlight],
) -> Given:
    """What was found of some of the located sources, in pixels and seeing of the reference."""
    shapes, (own, other) = located.shapes.take(rows), stars
    carried = with_seeing((shapes.xx, shapes.xy, shapes.yy), in_band, in_reference, (other, own))
    apertures = located.apertures.take(rows)
    if own.known and other.known:
        shift = (own.kron - other.kron) * other.compactness(shapes.area)
        apertures = replace(apertures, kron=apertures.kron + shift, inner=apertures.inner + shift)
    home = np.full(len(rows), in_band.band.name, dtype=object)
    wing = located.half[rows] * in_band.ratio(in_reference)
    scatter = centre_scatter(canvas, shapes, in_band)
    return Given(home, np.array(carried), apertures, wing, located.bad_centroid[rows], scatter)
