"""The section ``images`` of survey files and recipes: which files to read, and what their pixel values mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from astrogalaxy.config import paths, values
from astrogalaxy.config.arithmetic import ZEROPOINTS
from astrogalaxy.config.problems import fail, show
from astrogalaxy.config.schema import Section
from astrogalaxy.config.values import as_tuple

__all__ = ["ArchiveSection", "ImagesSection"]


class ArchiveSection(Section):
    """``images.archive``: where missing images are fetched from."""

    name: Literal["sdss", "panstarrs", "skyview", "hips2fits"] = Field(
        description="Archive to query through astroquery (needs the extra archives).", examples=["sdss"]
    )
    position: paths.Positions = Field(
        description="Centre of the square to fetch, in quotes: degrees, hours and degrees, or the name of an object. "
        "Also a list of such positions and of tables (CSV, ECSV, FITS, VOTable) with ra and dec.",
        examples=["179.68 -0.45"],
    )
    size: values.Length = Field(description="Side of the square, such as 10 arcmin.", examples=["10 arcmin"])

    @field_validator("size")
    @classmethod
    def _size_is_an_angle(cls, size: Any) -> Any:
        if not hasattr(size, "unit"):
            raise ValueError(f"must be an angle such as '10 arcmin', not {show(size)}")
        return size


class ImagesSection(Section):
    """``images``: which files to read, and what their pixel values mean."""

    _BY_BAND: ClassVar = (
        "path", "hdu", "plane", "zeropoint", "gain", "saturation", "seeing", "psf", "psf_hdu", "mask", "mask_hdu",
        "weight", "weight_hdu",
    )  # fmt: skip

    path: paths.Patterns = Field(
        description="Pattern of the image files, relative to this file. {band} and {field} are placeholders, * matches "
        "anything, ~ and $VARIABLES are expanded. Without {field} there is one field. Also a list of patterns, or "
        "{band: pattern}. Compressed files (.bz2, .gz, .fz) need not be unpacked.",
        examples=["frame-{band}-{field}.fits"],
    )
    bands: values.Bands = Field(
        description="Names of the bands, shortest wavelength first. They replace {band} in paths, and end the names of "
        "columns (flux_r).",
        examples=[["g", "r", "i"]],
    )
    reference: str | None = Field(
        None,
        description="Band on whose pixel grid sources are found. The other bands are aligned with it through their "
        "WCS. null: the middle band.",
    )
    hdu: values.Hdu = Field(
        "auto",
        description="Extension that holds the image: its name (SCI, or SCI,2 with EXTVER 2), its "
        "number (0 is the first), or auto: the first image. With * in the name, every extension that matches is a "
        "separate field, such as each detector of a camera.",
    )
    plane: values.Planes = Field(
        None,
        description="Plane of an image cube, counted from 0, or one for each band, such as {r: 0, g: 1, b: 2} for a "
        "colour camera. null: the image is not a cube.",
    )
    zeropoint: values.ZeroPoint = Field(
        None,
        description="AB magnitude of one image unit: a number, a header keyword, or a sum of keywords and numbers such "
        "as MAGZPT + 2.5*log10(EXPTIME). auto: derived from the unit in the header (BUNIT such as nJy or MJy/sr, or "
        "PHOTFLAM and PHOTPLAM). Also one of these for each band. null: fluxes stay in image units, and magnitudes are "
        "NaN.",
    )
    gain: values.PerBand = Field(
        None,
        description="Electrons per image unit, from which the photon noise of sources is computed: a number, a header "
        "keyword, or a sum as in zeropoint; also one of these for each band. null: errors contain only the noise of "
        "the sky background.",
    )
    saturation: values.PerBand = Field(
        None,
        description="Image value at and above which a pixel is saturated: a number, a header keyword, or one of these "
        "for each band. null: SATURATE from the header, if it is there. Stars whose cores saturation has made blunt "
        "are recognised without a value.",
    )
    seeing: values.PerBand = Field(
        None,
        description="FWHM of stars in arcsec (in pixels if there is no WCS): a number, a header keyword, or a sum such "
        "as FWHMPIX*0.262; also one of these for each band. Give it for images with few or no stars, where the "
        "narrowest galaxies would be taken for stars. null: it is measured.",
    )
    psf: paths.OptionalPatterns = Field(
        None,
        description="Files of point-spread functions, with the same placeholders as path: images, or models of PSFEx. "
        "They may be for some of the bands only. In these, seeing is not used. null: the stars of each field show "
        "them.",
    )
    psf_hdu: values.Hdu = Field(
        "auto",
        description="Extension that holds the point-spread function, its name or number. auto: the only one that does, "
        "or, where several extensions of an image are fields, one for each of them.",
    )
    mask: paths.OptionalPatterns = Field(
        None,
        description="Mask files, with the same placeholders as path. Pixels whose mask is not 0 are bad. Without "
        "{band}, one mask is used for all bands. The masks may be in the image files themselves; see mask_hdu.",
    )
    mask_hdu: values.Hdu = Field("auto", description="Extension that holds the mask, given as for hdu.")
    mask_bits: values.Bits = Field(
        None,
        description="Bits of the mask that make a pixel bad: numbers from 0 (bit 3 is the value 8), or names of mask "
        "planes that the header of the mask defines (BAD or MP_BAD). Planes that it calls SAT, SATUR, SATURATE or "
        "SATURATED do not: their pixels are kept, and sources flagged saturated. null: all bits.",
    )
    weight: paths.OptionalPatterns = Field(
        None,
        description="Weight files, with the same placeholders as path. They hold inverse variances in image units, or "
        "what weight_type names. The weights may be in the image files themselves; see weight_hdu. null: the noise is "
        "measured in the images.",
    )
    weight_hdu: values.Hdu = Field("auto", description="Extension that holds the weights, given as for hdu.")
    weight_type: Literal["inverse_variance", "relative", "variance", "rms"] = Field(
        "inverse_variance",
        description="Quantity in the weight files, in image units. relative: anything proportional to the inverse "
        "variance, such as exposure times or confidence maps, which is scaled to the noise measured in the images.",
    )
    archive: ArchiveSection | None = Field(
        None,
        description="Archive from which 'astrogalaxy run' and 'astrogalaxy fetch' fetch missing images into the folder "
        "of path. null: all images are there already.",
    )

    @field_validator("bands")
    @classmethod
    def _bands_name_columns(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [band for band in bands if not re.fullmatch(r"[A-Za-z0-9_]{1,32}", band)]
        if wrong:
            hint = "use letters, digits and _ (files of other names are given by band, as path: {band: pattern})"
            raise ValueError(f"{show(wrong[0])} cannot end a column's name; {hint}")
        if len(bands) > 64:
            more = "for more epochs make several surveys of the same detection.positions"
            raise ValueError(f"has {len(bands)} bands; at most 64 are read ({more})")
        owners: dict[str, str] = {}
        for band in bands:
            for column in ("flux_{}", "flux_aper_{}", "flux_apcor_{}", "flux_psf_{}"):
                for ending in ("", "_err"):
                    other = owners.setdefault((column.format(band) + ending).lower(), band)
                    if other != band or bands.count(band) > 1:
                        raise ValueError(f"{other!r} and {band!r} would name the same columns")
        return bands

    @field_validator("reference")
    @classmethod
    def _reference_is_a_band(cls, reference: str | None, info: ValidationInfo) -> str | None:
        bands = info.data.get("bands")
        if bands is None:
            return reference
        if reference is not None and reference not in bands:
            raise ValueError(f"must be one of the bands {', '.join(bands)}, not {show(reference)}")
        return reference or bands[len(bands) // 2]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        mappings = {key: value for key in self._BY_BAND if isinstance(value := getattr(self, key), dict)}
        problems = [problem for key, value in mappings.items() for problem in self._band_problems(key, value)]
        fail([*problems, *self._number_problems(), *self._pattern_problems()])
        return self

    def _band_problems(self, key: str, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        unknown = [show(band) for band in value if band not in self.bands]
        missing = [show(band) for band in self.bands if band not in value]
        if unknown:
            yield key, f"{', '.join(unknown)} not among the bands {', '.join(self.bands)}"
        if missing and key not in ("psf", "psf_hdu"):  # stars show those that are not given
            yield key, f"nothing given for {', '.join(missing)}"

    def _number_problems(self) -> Iterator[tuple[str, str]]:
        for key, low, high, wanted in (
            ("zeropoint", *ZEROPOINTS, f"a magnitude between {ZEROPOINTS[0]:g} and {ZEROPOINTS[1]:g}"),
            ("gain", 0.0, 1e300, "more than 0"),
            ("saturation", 0.0, 1e300, "more than 0"),
            ("seeing", 0.0, 1e300, "more than 0"),
        ):
            value = getattr(self, key)
            for number in value.values() if isinstance(value, dict) else [value]:
                if isinstance(number, float) and not low < number < high:
                    yield key, f"must be {wanted}, not {number:g}"

    def _pattern_problems(self) -> Iterator[tuple[str, str]]:
        images = [text for band in self.bands for text in self.patterns(band, filled=False)]
        one_file = isinstance(self.hdu, dict) or isinstance(self.plane, dict)
        if not (one_file or isinstance(self.path, dict) or len(self.bands) == 1 or all("{band}" in p for p in images)):
            yield "path", "must hold {band}, since there are several bands; or give {band: pattern}"
        if len({"{field}" in text for text in images}) > 1:
            yield "path", "must hold {field} in every pattern, or in none"
        for key in ("psf", "mask", "weight"):
            maps = [text for band in self.bands for text in self.patterns(band, kind=key, filled=False)]
            if any("{field}" in text for text in maps) and not any("{field}" in text for text in images):
                yield key, "holds {field}, but path does not"

    def patterns(
        self, band: str, *, kind: Literal["path", "psf", "mask", "weight"] = "path", filled: bool = True
    ) -> tuple[str, ...]:
        """Glob patterns of one band's files.

        Parameters
        ----------
        band : str
            One of the bands.
        kind : {"path", "psf", "mask", "weight"}, optional
            Which files.
        filled : bool, optional
            Put the band's name for ``{band}``; ``{field}`` always stays.

        Returns
        -------
        tuple of str
            Absolute patterns; none where the key is null.
        """
        value = getattr(self, kind)
        found = as_tuple(value.get(band) if isinstance(value, dict) else value)
        return tuple(text.replace("{band}", band) for text in found) if filled else found
