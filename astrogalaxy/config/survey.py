"""``survey.yml``: which images to read, and how to make a catalogue of them."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from astrogalaxy.config import paths, values
from astrogalaxy.config.file import File, sha256
from astrogalaxy.config.images import ImagesSection
from astrogalaxy.config.problems import fail, show
from astrogalaxy.config.schema import Section
from astrogalaxy.devices import Device, Precision, precision_of
from astrogalaxy.formats import FORMATS, missing_extra

__all__ = ["AstrometrySection", "ComputeSection", "SurveyConfig"]


class DetectionSection(Section):
    """``detection``: the network that finds and classifies sources."""

    model: paths.ModelName = Field(
        "default",
        description="Weights: default (the bundled astroyolo-nano), astroyolo-fine (bundled, too: finds more, "
        "slower), another name of 'astrogalaxy weights list', or a path.",
    )
    threshold: values.Threshold = Field(
        "default",
        description="Lowest calibrated probability that a source is real, from 0 to 1. default: the one "
        "in the weights' card.",
    )
    field_prior: bool = Field(
        True,
        description="Whether stars and galaxies are told by how many galaxies their field has for each star, too, "
        "among its clear sources. false: by each source alone, so that one rule holds in all fields.",
    )
    positions: paths.OptionalInputPath = Field(
        None,
        description="Table with ra and dec (ICRS, degrees): each of its rows on an image is measured and classified "
        "where it says, and nothing else has a row. null: the network finds the sources.",
    )


class MorphologySection(Section):
    """``morphology``: an optional second opinion on the galaxies."""

    model: paths.OptionalModelName = Field(
        None,
        description="Cutout classifier that adds the probabilities of its classes: a name of 'astrogalaxy weights "
        "list', or a path. null: the network's own smooth/disk head alone.",
    )
    min_snr: float = Field(
        20.0, gt=0, lt=1e6, description="Galaxies with a lower signal-to-noise ratio are not classified."
    )
    min_size: float = Field(
        1.5,
        ge=0,
        lt=1e3,
        description="Least half-light radius of what the cutout classifier sees, in those of the field's stars: the "
        "seeing leaves smaller ones no structure.",
    )


class MeasurementSection(Section):
    """``measurement``: photometry and shapes."""

    apertures: values.Lengths = Field(
        "3 arcsec",
        description="Diameters of the fixed apertures, one or a list: angles, or pixels of the reference. The first "
        "is that of flux_aper_<band>, the others those of flux_aper2_<band> and so on.",
    )


class AstrometrySection(Section):
    """``astrometry``: positions against an external catalogue."""

    check: paths.OptionalReference = Field(
        None,
        description="Table with ra and dec (ICRS, degrees) against which each field's positions are checked, or gaia "
        "for Gaia DR3 through astroquery. null: no check.",
    )
    apply: bool = Field(
        False, description="Take the median offset of a field out of its positions. false: it is only reported."
    )


class TilesSection(Section):
    """``tiles``: how images are cut for the work. The catalogue does not depend on it."""

    size: values.TileSize = Field(
        "auto",
        description="Side of a tile in pixels, a multiple of 32. auto: as large as the memory of a worker allows.",
    )
    overlap: values.LengthOrAuto = Field(
        "auto",
        description="How far tiles reach into their neighbours, more than the largest source: an angle "
        "such as 20 arcsec, or pixels. auto: chosen by the pixel scale.",
    )


class ComputeSection(Section):
    """``compute``: where the work is done."""

    workers: values.Workers = Field("auto", description="Worker processes. auto: as many as cores and memory allow.")
    memory: values.Size = Field(
        "auto",
        description="Memory of each worker, such as 4 GB. auto: the machine's memory shared by the workers.",
    )
    device: Device = Field(
        "auto",
        description="Where networks run: cpu (through onnxruntime), openvino (the CPU too; extra accel), or cuda, an "
        "NVIDIA GPU. auto: cuda where there is one, else cpu.",
    )
    precision: Precision = Field(
        "auto",
        description="Numbers with which networks reckon. Half precision is quicker and changes the last digits of "
        "probabilities: bfloat16 on openvino where the processor has it, float16 and bfloat16 on cuda. auto: float16 "
        "on cuda, else float32.",
    )
    scheduler: values.Scheduler = Field(
        None,
        description="Address of a running Dask scheduler (tcp://host:8786); its workers are used instead. "
        "null: start workers here.",
    )

    @model_validator(mode="after")
    def _device_has_the_precision(self) -> Self:
        try:
            precision_of(self.device, self.precision)
        except ValueError as error:
            fail("configuration", [("precision", str(error))])
        return self


class OutputSection(Section):
    """``output``: what is written, and where."""

    directory: paths.OutputPath = Field(
        "out",
        description="Folder of the results, relative to this file (for the pipelines that come with "
        "astrogalaxy: to the working directory). Made if need be; a rerun takes up what is "
        "there.",
    )
    formats: values.Formats = Field(
        ("fits", "votable"), description=f"Catalogue files to write, of {', '.join(FORMATS)}."
    )
    keep_tiles: bool = Field(
        True,
        description="Keep the catalogues of the tiles, so that a rerun does only what has changed. false: "
        "remove them when the run is complete.",
    )

    @field_validator("formats")
    @classmethod
    def _formats_can_be_written(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for name, count in Counter(formats).items():
            if name not in FORMATS:
                raise ValueError(f"unknown format {show(name)}; choose from {', '.join(FORMATS)}")
            problem = missing_extra(name)
            if problem:
                raise ValueError(problem)
            if count > 1:
                raise ValueError(f"{name!r} is given twice")
        return formats


class SurveyConfig(File):
    """A ``survey.yml``: which images to read, and how to make a catalogue of them.

    Make one with `read` or `from_dict`, which raise `ConfigError`; the constructor raises pydantic's errors.

    Examples
    --------
    >>> images = {"path": "m31-{band}.fits", "bands": ["g", "r", "i"]}
    >>> config = SurveyConfig.from_dict({"name": "m31", "images": images})
    >>> config.images.reference, str(config.measurement.apertures[0])
    ('r', '3.0 arcsec')
    >>> SurveyConfig.from_dict({"name": "m31", "images": {"path": "m31.fits", "band": ["g"]}})
    Traceback (most recent call last):
        ...
    astrogalaxy.errors.ConfigError: configuration: images.band: unknown key; did you mean 'bands'?
    """

    version: Literal[1] = Field(1, description="Version of this file's format.")
    name: values.FileName = Field(
        description="Name of the survey or run; the catalogues are <name>.fits and <name>.vot.",
        examples=["my-survey"],
    )
    images: ImagesSection = Field(description="The images to read.")
    detection: DetectionSection = Field(default_factory=dict, description="Finding and classifying sources.")
    morphology: MorphologySection = Field(default_factory=dict, description="An optional classifier of galaxy cutouts.")
    measurement: MeasurementSection = Field(default_factory=dict, description="Measuring sources.")
    astrometry: AstrometrySection = Field(default_factory=dict, description="Checking positions.")
    tiles: TilesSection = Field(
        default_factory=dict,
        description="How images are cut for the work; the catalogue does not depend on it.",
    )
    compute: ComputeSection = Field(default_factory=dict, description="Where the work is done.")
    output: OutputSection = Field(default_factory=dict, description="The results.")

    @model_validator(mode="after")
    def _given_positions_stay(self) -> Self:
        if self.detection.positions is not None and self.astrometry.apply:
            problem = "would move the positions that detection.positions gives; set it to false"
            fail("configuration", [(("astrometry", "apply"), problem)])
        return self

    def science_digest(self) -> str:
        """SHA-256 (hex) of the settings that a tile's rows depend on, for content keys.

        Left out are ``name``, ``compute`` but for the precision, ``output``, ``astrometry`` and
        ``detection.field_prior`` (tiles do not know of them), and where files lie or come from: of masks, weights and
        models only the file names count, of ``images.path`` nothing. A content key must add the content of the files.
        """
        data = self.model_dump(
            mode="json",
            exclude=dict.fromkeys(("name", "compute", "output", "astrometry"), True)
            | {"images": {"path", "archive"}, "detection": {"field_prior"}},
        )
        for section, key in (
            ("images", "mask"),
            ("images", "weight"),
            ("detection", "model"),
            ("detection", "positions"),
            ("morphology", "model"),
        ):
            data[section][key] = _base_names(data[section][key])
        data["precision"] = precision_of(self.compute.device, self.compute.precision)
        return sha256(data)


def _base_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _base_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_base_names(item) for item in value]
    return os.path.basename(value) if isinstance(value, str) else value
