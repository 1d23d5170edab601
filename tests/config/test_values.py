"""Values of a configuration: lengths, sizes, numbers of bands."""

from __future__ import annotations

from typing import Any

import pytest
from astropy import units as u
from configurations import variant

from astrogalaxy.config import length_in_pixels
from astrogalaxy.errors import ConfigError


def test_lengths_have_units_or_are_pixels() -> None:
    def overlap(value: Any) -> Any:
        return variant(tiles={"overlap": value}).tiles.overlap

    assert overlap("0.5 arcmin").unit == u.arcsec
    assert overlap("0.5 arcmin") == overlap("30arcsec") == overlap('30"') == overlap(30 * u.arcsec) == 30 * u.arcsec
    assert overlap("1 deg").to_value("deg") == pytest.approx(1, rel=1e-12)
    assert overlap(48) == overlap("48 pix") == overlap("48 px") == 48
    assert overlap("auto") == "auto"


def test_length_in_pixels() -> None:
    assert length_in_pixels(30 * u.arcsec, 0.4) == pytest.approx(75)
    assert length_in_pixels(48, float("nan")) == 48
    with pytest.raises(ConfigError, match="3 arcsec needs an image with a WCS"):
        length_in_pixels(3 * u.arcsec, float("nan"))


@pytest.mark.parametrize(
    ("text", "size", "back"),
    [
        ("4 GB", 4 * 10**9, "4 GB"),
        ("1.5GB", 1_500_000_000, "1500 MB"),
        ("2 gib", 2**31, "2 GiB"),
        ("auto", "auto", "auto"),
    ],
)
def test_sizes(text: str, size: Any, back: str) -> None:
    config = variant(compute={"memory": text})
    assert config.compute.memory == size
    assert config.model_dump()["compute"]["memory"] == back


def test_numbers_of_bands() -> None:
    images = variant(images={"zeropoint": {"g": 25, "r": 26.5, "i": 27}, "gain": "HIERARCH CELL.GAIN"}).images
    assert images.zeropoint == {"g": 25.0, "r": 26.5, "i": 27.0}
    assert images.gain == "HIERARCH CELL.GAIN"


def test_headers_tell_numbers_by_band() -> None:
    """What takes a magnitude of Vega to AB is another number for each band."""
    told = {"g": "MAGZPT + 2.5*log10(EXPTIME) + 0.94", "r": "MAGZERO", "i": "auto"}
    images = variant(images={"zeropoint": told, "gain": {"g": "GAIN*NJITTER", "r": "GAIN", "i": 2}}).images
    assert images.zeropoint == told
    assert images.gain == {"g": "GAIN*NJITTER", "r": "GAIN", "i": 2.0}
