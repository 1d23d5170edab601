"""Where the sources are and what shape they have, on one band."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from astrogalaxy.images.saturation import core_of
from astrogalaxy.measurement.canvas import Canvas, touched
from astrogalaxy.measurement.moments import Shapes, adapt
from astrogalaxy.measurement.neighbours import neighbours
from astrogalaxy.measurement.photometry import USUAL_KRON, KronApertures, kron_apertures
from astrogalaxy.measurement.profiles import KRON_LIMIT, Moffat
from astrogalaxy.measurement.scene import Scene
from astrogalaxy.measurement.stamps import Stamps, batches, nearest_pixel
from astrogalaxy.measurement.starlight import Starlight

__all__ = ["Given", "Located", "Start", "locate", "stacked"]

# Half a box's side in rms sizes of the light, for boxes of 4.4 half-light radii.
_BOX_SIGMAS = 2.6
# A neighbour is felt where its surface brightness exceeds this share of the sky noise.
_FELT_NOISE = 0.15
_FELT_ELSEWHERE = 0.1
_WING_SIGMAS = 12.0
_USUAL_BETA = 3.0
# Kron radius that is expected of galaxies much wider than stars: disks and bulges as they are mixed in the sky.
_WIDE_KRON = 1.7
_ROUNDS = 6
# Signal to noise of the core at which half of a measured elongation is believed.
_ROUND_SNR = 5.0


@dataclass
class Given:
    """What another band has shown of n sources, or of some of them, in the pixels and seeing of this one.

    Attributes
    ----------
    home : ndarray of str, shape (n,)
        Name of the band that has shown centre and shape; empty where none has, and then the rest means nothing.
    covariance : ndarray, shape (3, n)
        Shapes, which stay: xx, xy and yy.
    apertures : KronApertures
        Total apertures, which stay.
    wing : ndarray, shape (n,)
        Radius out to which the light is seen there; 0 where nothing is given.
    bad_centroid : ndarray of bool, shape (n,)
        Sources whose centre there is still the first guess.
    scatter : ndarray, shape (3, n)
        Covariance of the centre from the noise there, on the sky: along east, mixed, and north, square arcsec.
    """

    home: np.ndarray
    covariance: np.ndarray
    apertures: KronApertures
    wing: np.ndarray
    bad_centroid: np.ndarray
    scatter: np.ndarray

    @classmethod
    def nothing(cls, n: int) -> Given:
        """Nothing known of n sources."""
        home, nan = np.full(n, "", dtype=object), np.full((3, n), np.nan)
        return cls(home, nan, KronApertures.empty(n), np.zeros(n), np.zeros(n, dtype=bool), nan.copy())

    def take(self, index: np.ndarray) -> Given:
        """Copy of some of the sources."""
        parts = {name: part[..., index] for name, part in vars(self).items() if name != "apertures"}
        return Given(apertures=self.apertures.take(index), **parts)

    def put(self, index: np.ndarray, other: Given) -> None:
        """Overwrite some of the sources."""
        self.apertures.put(index, other.apertures)
        for name, part in vars(self).items():
            if name != "apertures":
                part[..., index] = getattr(other, name)

    @property
    def known(self) -> np.ndarray:
        """Which sources have a shape."""
        return self.home != ""


@dataclass(frozen=True)
class Start:
    """First guess of n sources, in pixels of the canvas.

    Attributes
    ----------
    x, y : ndarray, shape (n,)
        Centres.
    half : ndarray, shape (n,)
        Half of the longer side of the box.
    x_min, x_max, y_min, y_max : ndarray, shape (n,)
        Edges of the box: a centroid outside is not believed.
    held : ndarray of bool, shape (n,)
        Whether the centre is given and stays.
    given : Given
        What another band has shown of the sources.
    """

    x: np.ndarray
    y: np.ndarray
    half: np.ndarray
    x_min: np.ndarray
    x_max: np.ndarray
    y_min: np.ndarray
    y_max: np.ndarray
    held: np.ndarray
    given: Given

    def shifted(self, dx: float, dy: float) -> Start:
        """Copy moved by whole or part pixels."""
        x, y = (self.x + dx, self.x_min + dx, self.x_max + dx), (self.y + dy, self.y_min + dy, self.y_max + dy)
        return replace(self, x=x[0], y=y[0], x_min=x[1], x_max=x[2], y_min=y[1], y_max=y[2])

    def centred(self, cores: np.ndarray) -> Start:
        """Copy with what is alone in the core of a saturated star in the middle of it.

        Cores are as in `~astrogalaxy.measurement.canvas.Canvas`. The light of a wide one is as even as the sky: it
        draws no centroid that begins at its edge to the middle.
        """
        core = core_of(cores, self.x, self.y)
        alone = np.bincount(core + 1, minlength=len(cores) + 1)[core + 1] == 1
        moved = np.flatnonzero((core >= 0) & alone & ~self.held)
        x, y = self.x.copy(), self.y.copy()
        x[moved], y[moved] = cores[core[moved], 0], cores[core[moved], 1]
        return replace(self, x=x, y=y)

    @property
    def shapes(self) -> Shapes:
        """Shapes to begin with: those that are given, and circles."""
        result, known = Shapes.circles(self.x, self.y, self.sigma), self.given.known
        result.values[2:5, known] = self.given.covariance[:, known]
        return result

    @property
    def sigma(self) -> np.ndarray:
        """Rms size that the box suggests, pixels."""
        return np.maximum(self.half / _BOX_SIGMAS, 0.8)

    @property
    def largest(self) -> np.ndarray:
        """Largest semi-axis that is believed, pixels."""
        return np.maximum(1.2 * self.half, 3.0)

    @property
    def reach(self) -> np.ndarray:
        """Radius within which the source is measured, pixels."""
        return np.maximum(1.6 * self.half, 8.0)

    @property
    def extent(self) -> np.ndarray:
        """Radius beyond which no light is expected, pixels."""
        return np.maximum(3.0 * self.half, 12.0)

    @property
    def leash(self) -> np.ndarray:
        """How far the centroid may move, pixels."""
        return np.maximum(0.3 * self.half, 1.5)


@dataclass
class Located:
    """Where n sources are on a band, and what they look like there; see `locate`.

    Attributes
    ----------
    shapes : Shapes
        Centres and covariances, pixels of the canvas.
    apertures : KronApertures
        Total apertures.
    bad_centroid, bad_shape : ndarray of bool, shape (n,)
        Sources whose centre, or shape, is still the first guess.
    modelled : ndarray of int
        Sources that are measured through the scene.
    half, core : ndarray, shape (n,)
        Half widths of stamps that hold all the light, and all apertures.
    pairs : tuple of ndarray
        Ordered pairs of neighbours, counted within `modelled`.
    """

    shapes: Shapes
    apertures: KronApertures
    bad_centroid: np.ndarray
    bad_shape: np.ndarray
    modelled: np.ndarray
    half: np.ndarray
    core: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray]


def locate(
    canvas: Canvas, start: Start, *, circle: np.ndarray, stars: Starlight | None = None, kron_factor: float = 2.5
) -> Located:
    """Centroids, shapes and apertures of all sources on one canvas.

    Sources without neighbours are measured where they are; the others through a `Scene`.

    Parameters
    ----------
    canvas : Canvas
        Pixels of the reference band.
    start : Start
        First guess; every centre inside the canvas.
    circle : ndarray, shape (n,)
        Radius of the fixed aperture at each source, pixels.
    stars : Starlight, optional
        Of the field, in this band.
    kron_factor : float, optional
        Aperture in Kron radii.

    Returns
    -------
    Located
    """
    n = len(start.x)
    wing = np.maximum(_wings(canvas, start), start.given.wing)
    # A bright source is measured further out.
    reach = np.maximum(start.reach, np.minimum(wing, start.extent))
    reach = np.fmax(reach, circle + 1.0)
    pairs = neighbours(start.x, start.y, reach, wing)
    crowded = np.zeros(n, dtype=bool)
    crowded[pairs[0]] = crowded[pairs[1]] = True
    crowded |= touched(canvas, start.x, start.y, reach)

    alone, modelled = np.flatnonzero(~crowded), np.flatnonzero(crowded)

    shapes = start.shapes
    bad_centroid, bad_shape = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    core = np.ceil(reach) + 2.0
    half = np.maximum(core, np.ceil(wing) + 2.0)
    _locate_alone(canvas, start, alone, shapes, bad_centroid, bad_shape)
    place = np.zeros(n, dtype=np.int64)
    place[modelled] = np.arange(len(modelled))
    pairs = place[pairs[0]], place[pairs[1]]
    beta = np.full(len(modelled), _USUAL_BETA)
    scene = Scene(canvas, shapes.take(modelled), half[modelled], core[modelled], beta, pairs)
    centre, shape = _locate_crowded(scene, start, modelled)
    bad_centroid[modelled], bad_shape[modelled] = centre, shape
    bad_centroid = (bad_centroid & ~start.held) | start.given.bad_centroid
    shapes.put(modelled, scene.shapes)
    shapes = _rounded(shapes, canvas.noise_at(shapes.x, shapes.y), ~start.given.known)
    usual = np.full(n, USUAL_KRON)
    if stars is not None and stars.known:
        compact = stars.compactness(shapes.area)
        usual = compact * stars.kron + (1.0 - compact) * _WIDE_KRON
    room = np.maximum(reach, _room(start, shapes, alone, wing, kron_factor))
    apertures = _apertures(canvas, start, shapes, scene, alone, modelled, kron_factor, usual, room)
    half, core = _widths(canvas, shapes, apertures, circle)
    half = np.maximum(half, start.given.wing)
    return Located(shapes, apertures, bad_centroid, bad_shape, modelled, half, core, pairs)


def _widths(
    canvas: Canvas, shapes: Shapes, apertures: KronApertures, circle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Half widths of stamps for all the light and for the apertures, now that shapes and light are known."""
    a, _, _ = shapes.axes()
    core = np.ceil(np.fmax(apertures.radius * a, circle)) + 3.0
    profile = Moffat(apertures.beta)
    light = np.maximum(shapes.core, 0.0) / profile.core
    # Other bands may be deeper than the reference.
    level = _FELT_ELSEWHERE * canvas.noise_at(shapes.x, shapes.y) * shapes.area / np.maximum(light, 1e-30)
    wing = a * np.minimum(profile.radius_of(level), _WING_SIGMAS)
    return np.maximum(core, np.ceil(wing) + 2.0), core


def _rounded(shapes: Shapes, noise: np.ndarray, free: np.ndarray) -> Shapes:
    """Draw free shapes towards circles of their size, the noisier the more: noise makes every source look elongated."""
    snr2 = shapes.clarity(noise) ** 2
    trust = np.where(free, snr2 / (snr2 + _ROUND_SNR**2), 1.0)
    result = shapes.take(slice(None))
    mean = (shapes.xx + shapes.yy) / 2
    result.xx, result.yy = (mean + trust * (part - mean) for part in (shapes.xx, shapes.yy))
    result.xy = trust * shapes.xy
    return result


def _wings(canvas: Canvas, start: Start) -> np.ndarray:
    """Radius out to which each source shines noticeably, from its central pixel and its box."""
    rows, columns = nearest_pixel(start.y).astype(int), nearest_pixel(start.x).astype(int)
    peak = np.maximum(canvas.data[rows, columns], 0.0).astype(float)
    profile = Moffat(np.full(len(peak), _USUAL_BETA))
    noise = canvas.noise[rows, columns].astype(float)
    with np.errstate(divide="ignore"):
        level = np.where(peak > 0, _FELT_NOISE * noise / peak, np.inf) * profile.peak
    return start.sigma * np.clip(profile.radius_of(level), 1.0, _WING_SIGMAS)


def _room(start: Start, shapes: Shapes, alone: np.ndarray, wing: np.ndarray, factor: float) -> np.ndarray:
    """Radius within which no other source shines, pixels: shapes may reach further than boxes have promised."""
    widest = np.zeros(len(shapes))
    widest[alone] = max(factor / 2.0, 1.0) * np.maximum(KRON_LIMIT * shapes.axes()[0], start.extent)[alone]
    i, j = neighbours(start.x, start.y, widest, wing)
    room = np.full(len(shapes), np.inf)
    np.minimum.at(room, i, np.hypot(start.x[i] - start.x[j], start.y[i] - start.y[j]) - wing[j])
    return room


def _locate_alone(
    canvas: Canvas,
    start: Start,
    alone: np.ndarray,
    shapes: Shapes,
    bad_centroid: np.ndarray,
    bad_shape: np.ndarray,
) -> None:
    """Centroids and shapes of sources without neighbours, written into the arrays given."""
    need = np.ceil(1.5 * start.half) + 1.0
    known, begin = start.given.known, start.shapes
    todo = alone
    for _ in range(3):
        for half, members in batches(need, todo):
            stamps = Stamps(start.x[members], start.y[members], half, canvas.shape)
            pixels = stamps.gather(canvas.data)
            guess = begin.take(members).shifted(-stamps.x0, -stamps.y0)
            fixed = {"fixed_centre": start.held[members], "fixed_shape": known[members]}
            found = adapt(pixels, guess, largest=start.largest[members], **fixed)
            moved = _moved(start, members, found.shifted(stamps.x0, stamps.y0))
            _again(pixels, guess, found, moved, start.largest[members], fixed_shape=False)
            lost = _shapeless(start, members, found)
            _again(pixels, guess, found, lost, start.largest[members], fixed_shape=True)
            bad_centroid[members], bad_shape[members] = moved | (lost & (found.core <= 0)), lost
            shapes.put(members, found.shifted(stamps.x0, stamps.y0))
        # A source that outgrew its stamp is measured again on a larger one.
        wanted = np.ceil(3.5 * shapes.axes()[0]) + 2.0
        todo = alone[wanted[alone] > 1.2 * need[alone]]
        if not len(todo):
            break
        need = np.maximum(need, wanted)


def _again(
    pixels: np.ndarray, guess: Shapes, found: Shapes, which: np.ndarray, largest: np.ndarray, *, fixed_shape: bool
) -> None:
    """Measure some sources anew with the centre held at the guess, and the shape too if asked."""
    index = np.flatnonzero(which)
    if len(index):
        held = adapt(
            pixels[index],
            guess.take(index),
            iterations=1 if fixed_shape else 25,
            fixed_centre=True,
            fixed_shape=fixed_shape,
            largest=largest[index],
        )
        found.put(index, held)


def _moved(start: Start, members: np.ndarray, shapes: Shapes) -> np.ndarray:
    """Sources that strayed too far or out of their box, or have no light; those with a given shape never do."""
    distance = np.hypot(shapes.x - start.x[members], shapes.y - start.y[members])
    inside = (shapes.x >= start.x_min[members]) & (shapes.x <= start.x_max[members])
    inside &= (shapes.y >= start.y_min[members]) & (shapes.y <= start.y_max[members])
    moved = ~inside | (distance >= 0.999 * start.leash[members]) | (shapes.core <= 0)
    return moved & ~start.given.known[members]


def _shapeless(start: Start, members: np.ndarray, shapes: Shapes) -> np.ndarray:
    """Sources, without those of a given shape, whose moments followed noise or a wider glow up to their limits."""
    a, _, _ = shapes.axes()
    lost = (shapes.core <= 0) | (a >= 0.99 * start.largest[members])
    return lost & ~start.given.known[members]


def _locate_crowded(scene: Scene, start: Start, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Settle the scene; returns which sources kept their first position, and their first shape."""
    if not len(members):
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
    first = scene.shapes.take(slice(None))
    largest = start.largest[members]
    for _ in range(2):
        scene.measure_light()
    for number in range(_ROUNDS):
        scene.measure_shapes(
            largest=largest,
            origin=first,
            leash=start.leash[members],
            everywhere=number == 0,
            held=start.held[members],
            kept=start.given.known[members],
        )
    moved, lost = _moved(start, members, scene.shapes), _shapeless(start, members, scene.shapes)
    for which, names in ((moved, ("x", "y")), (lost, ("xx", "xy", "yy"))):
        for name in names:
            getattr(scene.shapes, name)[which] = getattr(first, name)[which]
    return moved, lost


def _apertures(
    canvas: Canvas,
    start: Start,
    shapes: Shapes,
    scene: Scene,
    alone: np.ndarray,
    modelled: np.ndarray,
    factor: float,
    usual: np.ndarray,
    room: np.ndarray,
) -> KronApertures:
    """Kron apertures of all sources; the models of crowded ones learn their exponent from them."""
    a, b, angle = shapes.axes()
    noise = canvas.noise_at(shapes.x, shapes.y)
    result = KronApertures.empty(len(shapes))

    def measure(
        data: np.ndarray, x: np.ndarray, y: np.ndarray, index: np.ndarray, room: np.ndarray | float
    ) -> KronApertures:
        """Measure some of the sources, and put them in."""
        axes = a[index], b[index], angle[index]
        settings = {"factor": factor, "usual": usual[index], "gain": canvas.gain}
        core, extent = shapes.core[index], start.extent[index]
        found = kron_apertures(data, x, y, axes, extent, room, core, noise[index], **settings)
        known = start.given.known[index]
        found.put(known, start.given.apertures.take(index[known]))
        result.put(index, found)
        return found

    if len(alone):
        measure(canvas.data, shapes.x[alone], shapes.y[alone], alone, room[alone])

    def change(pixels: np.ndarray, stamps: Stamps, members: np.ndarray) -> None:
        """Give sources of the scene the exponent that their apertures say."""
        index = modelled[members]
        scene.shapes.put(members, shapes.take(index))
        x, y = stacked(scene, stamps, members)
        found = measure(pixels.reshape(-1, stamps.size), x, y, index, stamps.half - 1.0)
        scene.light[members] *= Moffat(scene.beta[members]).core / Moffat(found.beta).core
        scene.beta[members] = found.beta

    scene.update(change, everywhere=True)
    return result


def stacked(scene: Scene, stamps: Stamps, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres of a batch's sources on its stamps stacked into one tall image."""
    x = scene.shapes.x[members] - stamps.x0
    y = scene.shapes.y[members] - stamps.y0 + stamps.size * np.arange(len(members))
    return x, y
