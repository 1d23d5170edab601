"""Small images with known sources for the tests of measurement."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from astropy.wcs import WCS

from astrogalaxy.images.sky import pixel_scale
from astrogalaxy.images.tiling import Section

SCALE = 0.4


@dataclass(frozen=True)
class KnownPixels:
    """What `Band.pixels` returns, with background and noise known."""

    data: np.ndarray
    noise: np.ndarray
    bad: np.ndarray
    saturated: np.ndarray
    section: Section


@dataclass
class KnownBand:
    """A band without a background, whose noise is known."""

    name: str
    data: np.ndarray
    noise: float = 1.0
    wcs: WCS | None = None
    zeropoint: float | None = None
    gain: float | None = None
    bad: np.ndarray | None = None
    saturated: np.ndarray | None = None
    origin: str = "known band"
    read: list[Section] = field(default_factory=list)
    stars: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    starlight: object = None
    noise_factor: float | None = 1.0
    seeing: float = float("nan")
    psf: object = None
    given_psf: object = None
    unit: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        return self.data.shape

    @property
    def pixel_scale(self) -> float:
        return pixel_scale(self.wcs, self.shape)

    @property
    def exposure(self) -> KnownBand:
        """What its gain is given by."""
        return self

    def rounded(self, section: Section) -> Section:
        return section

    def pixels(self, section: Section | None = None) -> KnownPixels:
        section = Section.whole(self.shape) if section is None else section
        self.read.append(section)
        none = np.zeros(self.shape, dtype=bool)
        bad = none if self.bad is None else self.bad
        saturated = none if self.saturated is None else self.saturated
        data = np.where(bad, 0.0, self.data).astype(np.float32)
        cut = section.slices
        parts = [np.ascontiguousarray(part[cut]) for part in (data, bad, saturated)]
        noise = np.full(section.shape, self.noise, dtype=np.float32)
        for part in (*parts, noise):
            part.setflags(write=False)
        return KnownPixels(parts[0], noise, parts[1], parts[2], section)


@dataclass
class KnownImage:
    """Bands with one reference, as `astrogalaxy.images.Image` holds them."""

    bands: dict[str, KnownBand]
    reference: str = "r"

    @property
    def shape(self) -> tuple[int, int]:
        return self.bands[self.reference].shape

    def register(self) -> None:
        """The WCS of these bands are right."""

    @classmethod
    def single(cls, data: np.ndarray, **settings: object) -> KnownImage:
        """Image of one band r; with a plain WCS unless told otherwise."""
        settings.setdefault("wcs", make_wcs(data.shape))
        return cls({"r": KnownBand("r", data, **settings)})


def make_wcs(
    shape: tuple[int, int],
    *,
    scale: float = SCALE,
    rotation: float = 0.0,
    parity: int = -1,
    shift: tuple[float, float] = (0.0, 0.0),
    frame: str = "ICRS",
) -> WCS:
    """Tangent-plane WCS about the middle of an image; parity +1 has east to the right."""
    wcs = WCS(naxis=2)
    names = ("GLON-TAN", "GLAT-TAN") if frame == "galactic" else ("RA---TAN", "DEC--TAN")
    wcs.wcs.ctype = list(names)
    if frame != "galactic":
        wcs.wcs.radesys = frame
    wcs.wcs.crval = [150.0, 22.0]
    wcs.wcs.crpix = [shape[1] / 2 + 0.5 + shift[0], shape[0] / 2 + 0.5 + shift[1]]
    turn = np.radians(rotation)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cd = matrix @ np.diag([parity * scale, scale]) / 3600
    wcs.wcs.set()
    return wcs


def moffat(
    shape: tuple[int, int],
    x: float,
    y: float,
    flux: float = 1.0,
    *,
    fwhm: float = 3.3,
    beta: float = 3.0,
    axis_ratio: float = 1.0,
    angle: float = 0.0,
) -> np.ndarray:
    """Elliptical Moffat profile, integrated over pixels by 5 x 5 samples; angle from x to y in degrees."""
    steps = (np.arange(5) - 2) / 5
    yy = (np.arange(shape[0])[:, None] + steps).reshape(-1)[:, None] - y
    xx = (np.arange(shape[1])[:, None] + steps).reshape(-1)[None, :] - x
    turn = np.radians(angle)
    along, across = xx * np.cos(turn) + yy * np.sin(turn), yy * np.cos(turn) - xx * np.sin(turn)
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    r2 = along**2 * axis_ratio + across**2 / axis_ratio
    light = (beta - 1) / (np.pi * alpha**2) * (1 + r2 / alpha**2) ** -beta
    return flux * light.reshape(shape[0], 5, shape[1], 5).mean(axis=(1, 3))


def field_of(
    shape: tuple[int, int], x: np.ndarray, y: np.ndarray, flux: np.ndarray, *, side: int = 48, **profile: float
) -> np.ndarray:
    """Image without noise of many stars; each is drawn on a square of `side` pixels."""
    image = np.zeros(shape)
    for xi, yi, light in zip(x, y, np.broadcast_to(flux, np.shape(x)), strict=True):
        x0, y0 = round(xi) - side // 2, round(yi) - side // 2
        stamp = moffat((side, side), xi - x0, yi - y0, light, **profile)
        low_x, low_y = max(x0, 0), max(y0, 0)
        high_x, high_y = min(x0 + side, shape[1]), min(y0 + side, shape[0])
        if low_x < high_x and low_y < high_y:
            image[low_y:high_y, low_x:high_x] += stamp[low_y - y0 : high_y - y0, low_x - x0 : high_x - x0]
    return image


def lattice(n: int, step: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions on an n x n lattice, each off by up to half a pixel."""
    x, y = np.meshgrid(np.arange(n) * step + step / 2, np.arange(n) * step + step / 2)
    return x.ravel() + rng.uniform(-0.5, 0.5, n * n), y.ravel() + rng.uniform(-0.5, 0.5, n * n)
