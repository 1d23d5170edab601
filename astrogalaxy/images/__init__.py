"""Images in: FITS files of several bands, their sky and their alignment, cut into tiles."""

from __future__ import annotations

from astrogalaxy.images.align import Aligned
from astrogalaxy.images.background import Mesh
from astrogalaxy.images.band import Band
from astrogalaxy.images.exposure import Exposure
from astrogalaxy.images.givenpsf import GivenPsf
from astrogalaxy.images.image import Image
from astrogalaxy.images.pixels import Pixels
from astrogalaxy.images.psffile import read_psf
from astrogalaxy.images.tiling import Section, Tile, plan_tiles

__all__ = [
    "Aligned", "Band", "Exposure", "GivenPsf", "Image", "Mesh", "Pixels", "Section", "Tile", "plan_tiles", "read_psf",
]  # fmt: skip
