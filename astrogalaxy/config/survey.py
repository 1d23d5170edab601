"""``survey.yml``: which images to read, and how to make a catalogue of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from astrogalaxy.config import paths, values
from astrogalaxy.config.file import File, sha256
from astrogalaxy.config.images import ImagesSection
from astrogalaxy.config.problems import Loc, fail, show
from astrogalaxy.config.schema import Section
from astrogalaxy.devices import Device, Precision, precision_of
from astrogalaxy.formats import FORMATS

__all__ = ["AstrometrySection", "ComputeSection", "SurveyConfig"]


class DetectionSection(Section):
    """``detection``: the network that finds and classifies sources."""

    model: paths.ModelName = Field(
        "default",
        description="Weights of the network: default (the bundled astroyolo-nano), astroyolo-fine (also bundled; finds "
        "more, but is slower), another name from 'astrogalaxy weights list', or a path.",
    )
    threshold: values.Threshold = Field(
        "default",
        description="Lowest calibrated probability, from 0 to 1, at which a source is kept as real. default: the "
        "threshold in the card of the weights.",
    )
    field_prior: bool = Field(
        True,
        description="Whether the ratio of galaxies to stars among the clear sources of a field enters p_galaxy of its "
        "sources. false: each source is judged by itself, so that the same rule holds in all fields.",
    )
    positions: paths.OptionalInputPath = Field(
        None,
        description="Table with ra and dec (ICRS, degrees). Every row that lies on an image is measured and "
        "classified at that position, and the catalogue has no other sources. null: the network finds the sources.",
    )


class MorphologySection(Section):
    """``morphology``: an optional second opinion on the galaxies."""

    model: paths.OptionalModelName = Field(
        None,
        description="Cutout classifier whose class probabilities are added to the catalogue: a name from 'astrogalaxy "
        "weights list', or a path. null: only the smooth and disk probabilities of the network itself.",
    )
    min_snr: float = Field(
        20.0, gt=0, lt=1e6, description="Galaxies with a lower signal-to-noise ratio are not classified."
    )
    min_size: float = Field(
        1.5,
        ge=0,
        lt=1e3,
        description="Smallest half-light radius of a galaxy that the cutout classifier is given, in units of that of "
        "the field's stars. The seeing leaves no structure in smaller galaxies.",
    )


class MeasurementSection(Section):
    """``measurement``: photometry and shapes."""

    apertures: values.Lengths = Field(
        "3 arcsec",
        description="Diameter of the fixed aperture, or a list of diameters: angles, or pixels of the reference band. "
        "The first is used for flux_aper_<band>, the next for flux_aper2_<band>, and so on.",
    )


class AstrometrySection(Section):
    """``astrometry``: positions against an external catalogue."""

    check: paths.OptionalReference = Field(
        None,
        description="Table with ra and dec (ICRS, degrees) against which the positions of each field are checked, or "
        "gaia for Gaia DR3 through astroquery. null: no check.",
    )
    apply: bool = Field(
        False,
        description="Subtract the median offset of a field from its positions. false: the offset is only reported.",
    )


class TilesSection(Section):
    """``tiles``: how images are cut for the work. The catalogue does not depend on it."""

    size: values.TileSize = Field(
        "auto",
        description="Side of a tile in pixels, a multiple of 32. auto: as large as the memory of a worker allows.",
    )
    overlap: values.LengthOrAuto = Field(
        "auto",
        description="How far tiles reach into their neighbours, an angle such as 20 arcsec or a number of pixels. It "
        "must exceed the size of the largest source. auto: chosen from the pixel scale.",
    )


class ComputeSection(Section):
    """``compute``: where the work is done."""

    workers: values.Workers = Field(
        "auto", description="Number of worker processes. auto: as many as the cores and the memory allow."
    )
    memory: values.Size = Field(
        "auto",
        description="Memory of each worker, such as 4 GB. auto: the memory of the machine is shared among the workers.",
    )
    device: Device = Field(
        "auto",
        description="Where the networks run: cpu (with ONNX Runtime), openvino (also on the CPU; needs the extra "
        "accel), or cuda (an NVIDIA GPU). auto: cuda if there is a GPU, otherwise cpu.",
    )
    precision: Precision = Field(
        "auto",
        description="Number format in which the networks compute. Half precision is faster and changes the last digits "
        "of probabilities: float16 and bfloat16 on cuda, bfloat16 on openvino if the processor has it. auto: float16 "
        "on cuda, otherwise float32.",
    )
    scheduler: values.Scheduler = Field(
        None,
        description="Address of a running Dask scheduler, such as tcp://host:8786, whose workers do the work. "
        "null: workers are started on this machine.",
    )

    @model_validator(mode="after")
    def _device_has_the_precision(self) -> Self:
        try:
            precision_of(self.device, self.precision)
        except ValueError as error:
            fail([("precision", str(error))])
        return self


class OutputSection(Section):
    """``output``: what is written, and where."""

    directory: paths.OutputPath = Field(
        "out",
        description="Folder for the results, relative to this file (for the pipelines that come with astrogalaxy, "
        "relative to the working directory). It is made if it does not exist. A rerun continues from what is there.",
    )
    formats: values.Formats = Field(
        ("fits", "votable"), description=f"File formats of the catalogue: any of {', '.join(FORMATS)}."
    )
    keep_tiles: bool = Field(
        True,
        description="Keep the catalogues of the tiles, so that a rerun only does what has changed. false: "
        "they are removed once the run is complete.",
    )

    @field_validator("formats")
    @classmethod
    def _formats_can_be_written(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for name, count in Counter(formats).items():
            if name not in FORMATS:
                raise ValueError(f"unknown format {show(name)}; choose from {', '.join(FORMATS)}")
            if FORMATS[name].missing:
                raise ValueError(FORMATS[name].missing)
            if count > 1:
                raise ValueError(f"{name!r} is given twice")
        return formats


class SurveyConfig(File):
    """A ``survey.yml``: which images to read, and how to make a catalogue of them.

    Make one with `read`, with `from_dict`, or by its keys as arguments.

    Examples
    --------
    >>> images = {"path": "m31-{band}.fits", "bands": ["g", "r", "i"]}
    >>> config = SurveyConfig.from_dict({"name": "m31", "images": images})
    >>> config.images.reference, str(config.measurement.apertures[0])
    ('r', '3.0 arcsec')
    >>> SurveyConfig(name="m31", images={"path": "m31.fits", "band": ["g"]})
    Traceback (most recent call last):
        ...
    astrogalaxy.errors.ConfigError: configuration: images.band: unknown key; did you mean 'bands'?
    """

    version: Literal[1] = Field(1, description="Version of the file format.")
    name: values.FileName = Field(
        description="Name of the survey or run; the catalogues are <name>.fits and <name>.vot.",
        examples=["my-survey"],
    )
    images: ImagesSection = Field(description="The images to read.")
    detection: DetectionSection = Field(default_factory=dict, description="How sources are found and classified.")
    morphology: MorphologySection = Field(default_factory=dict, description="An optional classifier of galaxy cutouts.")
    measurement: MeasurementSection = Field(default_factory=dict, description="How sources are measured.")
    astrometry: AstrometrySection = Field(
        default_factory=dict, description="A check of the positions against another catalogue."
    )
    tiles: TilesSection = Field(
        default_factory=dict,
        description="How images are cut into tiles. The catalogue does not depend on it.",
    )
    compute: ComputeSection = Field(default_factory=dict, description="Where and how the work is done.")
    output: OutputSection = Field(default_factory=dict, description="What is written, and where.")

    def _conflicts(self) -> Iterator[tuple[Loc, str]]:
        if self.detection.positions is not None and self.astrometry.apply:
            problem = "would move the positions that detection.positions gives; set it to false"
            yield ("astrometry", "apply"), problem

    def science_digest(self) -> str:
        """SHA-256 (hex) of the settings that a tile's rows depend on, for content keys.

        Left out are ``name``, ``compute`` but for the precision, ``output``, ``astrometry`` and
        ``detection.field_prior`` (tiles do not know of them), and where files lie or come from: of masks, weights,
        point spreads and models only the file names count, of ``images.path`` nothing. A content key must add the
        content of the files.
        """
        data = self.model_dump(
            mode="json",
            exclude=dict.fromkeys(("name", "compute", "output", "astrometry"), True)
            | {"images": {"path", "archive"}, "detection": {"field_prior"}},
        )
        for section, key in (
            ("images", "psf"),
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
