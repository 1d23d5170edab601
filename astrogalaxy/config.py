"""Configuration files: ``survey.yml`` for a run and ``recipe.yml`` for training.

Both are strict pydantic models. Every key is documented once, in its ``Field``; the table of the
documentation (`config_rows`) and the commented file of ``astrogalaxy init`` (`commented_yaml`) are made
from that. Relative paths in a file are relative to the file, and are absolute once it is read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from astrogalaxy import _config_values as values
from astrogalaxy._config_classifier import ClassifierRecipe
from astrogalaxy._config_schema import (
    File,
    KeyRow,
    Section,
    fail,
    key_rows,
    locate,
    pipelines_folder,
    render_commented,
    sha256,
)
from astrogalaxy._config_values import as_tuple, length_in_pixels
from astrogalaxy._yaml import Commented, did_you_mean, parse_yaml, read_commented, read_text, show
from astrogalaxy.errors import ConfigError
from astrogalaxy.formats import FORMATS, missing_extra

__all__ = [
    "ClassifierRecipe",
    "RecipeConfig",
    "SurveyConfig",
    "commented_yaml",
    "config_rows",
    "length_in_pixels",
    "pipelines_folder",
    "presets",
    "read_recipe",
]

# -- survey.yml ------------------------------------------------------------------------------------


class ArchiveSection(Section):
    """``images.archive``: where images come from that are not there yet."""

    name: Literal["sdss", "panstarrs", "skyview", "hips2fits"] = Field(
        description="Archive that is asked, through astroquery (extra archives).", examples=["sdss"]
    )
    position: values.Positions = Field(
        description="Centre of the square that is wanted: degrees, hours and degrees, or an object's name, in quotes; "
        "or a list of these and of tables (CSV, ECSV, FITS, VOTable) with ra and dec.",
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
    """``images``: which files to read, and what their numbers mean."""

    _BY_BAND: ClassVar = ("path", "zeropoint", "gain", "saturation", "mask", "weight")

    path: values.Patterns = Field(
        description="Image files. {band} and {field} are placeholders, * stands for anything; relative to "
        "this file; ~ and $VARIABLES are expanded. Without {field} it is one field. Also a "
        "list of patterns, or {band: pattern}. Compressed files (.bz2, .gz, .fz) are read as "
        "they are.",
        examples=["frame-{band}-{field}.fits"],
    )
    bands: values.Names = Field(
        description="Bands, shortest wavelength first. Their names fill in {band} and end the columns' names (flux_r).",
        examples=[["g", "r", "i"]],
    )
    reference: str | None = Field(
        None,
        description="Band on whose pixel grid sources are found; the others are aligned with it through "
        "their WCS. null: the middle one.",
    )
    hdu: values.Hdu = Field(
        "auto",
        description="Extension with the image: its name, its number (0 is the first), or auto: the first image.",
    )
    zeropoint: values.PerBand = Field(
        None,
        description="AB magnitude of one image unit: a number, {band: number}, or a header keyword. null: "
        "fluxes stay in image units, without magnitudes.",
    )
    gain: values.PerBand = Field(
        None,
        description="Electrons per image unit, for the photon noise of sources: a number, {band: number}, "
        "or a header keyword. null: errors hold the noise of the sky only.",
    )
    saturation: values.PerBand = Field(
        None,
        description="Image value from which a pixel is saturated: a number, {band: number}, or a header "
        "keyword. null: the header's SATURATE, where it has one.",
    )
    mask: values.OptionalPatterns = Field(
        None,
        description="Mask files, with the placeholders of path; pixels that are not 0 are bad. Without "
        "{band}, one mask serves all bands.",
    )
    weight: values.OptionalPatterns = Field(
        None,
        description="Weight files, with the placeholders of path: inverse variance in image units; 0 is "
        "bad. null: the noise is measured in the images.",
    )
    archive: ArchiveSection | None = Field(
        None,
        description="An archive from which 'run' and 'astrogalaxy fetch' bring the images that are not there yet, "
        "into the folder of path. null: images are there.",
    )

    @field_validator("bands")
    @classmethod
    def _bands_name_columns(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [band for band in bands if not re.fullmatch(r"[A-Za-z0-9_]{1,32}", band)]
        if wrong:
            raise ValueError(f"{show(wrong[0])} cannot end a column's name; use letters, digits and _")
        if len(bands) > 64:
            raise ValueError(f"has {len(bands)} bands; at most 64 are read")
        owners: dict[str, str] = {}
        for band in bands:
            for column in ("flux_{}", "flux_aper_{}", "flux_apcor_{}"):
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
        fail("images", [*problems, *self._number_problems(), *self._pattern_problems()])
        return self

    def _band_problems(self, key: str, value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        unknown = [show(band) for band in value if band not in self.bands]
        missing = [show(band) for band in self.bands if band not in value]
        if unknown:
            yield key, f"{', '.join(unknown)} not among the bands {', '.join(self.bands)}"
        if missing:
            yield key, f"nothing given for {', '.join(missing)}"

    def _number_problems(self) -> Iterator[tuple[str, str]]:
        for key, low, high, wanted in (
            ("zeropoint", -100.0, 100.0, "a magnitude"),
            ("gain", 0.0, 1e30, "more than 0"),
            ("saturation", 0.0, 1e30, "more than 0"),
        ):
            value = getattr(self, key)
            for number in value.values() if isinstance(value, dict) else [value]:
                if isinstance(number, float) and not low < number < high:
                    yield key, f"must be {wanted}, not {number:g}"

    def _pattern_problems(self) -> Iterator[tuple[str, str]]:
        paths = [text for band in self.bands for text in self.patterns(band, filled=False)]
        if not isinstance(self.path, dict) and len(self.bands) > 1 and not all("{band}" in p for p in paths):
            yield "path", "must hold {band}, since there are several bands; or give {band: pattern}"
        if len({"{field}" in text for text in paths}) > 1:
            yield "path", "must hold {field} in every pattern, or in none"
        for key in ("mask", "weight"):
            texts = [text for band in self.bands for text in self.patterns(band, kind=key, filled=False)]
            if any("{field}" in text for text in texts) and not any("{field}" in text for text in paths):
                yield key, "holds {field}, but path does not"

    def patterns(
        self, band: str, *, kind: Literal["path", "mask", "weight"] = "path", filled: bool = True
    ) -> tuple[str, ...]:
        """Glob patterns of one band's files.

        Parameters
        ----------
        band : str
            One of the bands.
        kind : {"path", "mask", "weight"}, optional
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


class DetectionSection(Section):
    """``detection``: the network that finds and classifies sources."""

    model: values.ModelName = Field(
        "default",
        description="Weights: default (the bundled astroyolo-nano), a name of 'astrogalaxy weights list', or a path.",
    )
    threshold: values.Threshold = Field(
        "default",
        description="Lowest calibrated probability that a source is real, from 0 to 1. default: the one "
        "in the weights' card.",
    )
    positions: values.OptionalInputPath = Field(
        None,
        description="Table with ra and dec (ICRS, degrees): each of its rows on an image is measured and classified "
        "where it says, and nothing else has a row. null: the network finds the sources.",
    )


class MorphologySection(Section):
    """``morphology``: an optional second opinion on the galaxies."""

    model: values.OptionalModelName = Field(
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

    check: values.OptionalReference = Field(
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
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where networks run. auto: an NVIDIA GPU where there is one."
    )
    scheduler: values.Scheduler = Field(
        None,
        description="Address of a running Dask scheduler (tcp://host:8786); its workers are used instead. "
        "null: start workers here.",
    )


class OutputSection(Section):
    """``output``: what is written, and where."""

    directory: values.OutputPath = Field(
        "out",
        description="Folder of the results, relative to this file (for the pipelines that come with "
        "astrogalaxy: to the working directory). Made if need be; a rerun takes up what is "
        "there.",
    )
    formats: values.Names = Field(
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
        """SHA-256 (hex) of the settings that a catalogue's rows depend on, for content keys.

        Left out are ``name``, ``compute``, ``output``, ``astrometry`` (tiles do not know of it), and where files lie
        or come from: of masks, weights and models only the file names count, of ``images.path`` nothing. A content key
        must add the content of the files.
        """
        data = self.model_dump(
            mode="json",
            exclude=dict.fromkeys(("name", "compute", "output", "astrometry"), True) | {"images": {"path", "archive"}},
        )
        for section, key in (
            ("images", "mask"),
            ("images", "weight"),
            ("detection", "model"),
            ("detection", "positions"),
            ("morphology", "model"),
        ):
            data[section][key] = _base_names(data[section][key])
        return sha256(data)


def _base_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _base_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_base_names(item) for item in value]
    return os.path.basename(value) if isinstance(value, str) else value


# -- recipe.yml ------------------------------------------------------------------------------------


class ModelSection(Section):
    """``model``: the network to train."""

    architecture: Literal["astroyolo"] = Field("astroyolo", description="Family of networks.")
    size: Literal["nano", "tiny", "s"] = Field("nano", description="Width and depth.")
    levels: values.Levels = Field((4, 8, 16), description="Strides of the detection levels in pixels, finest first.")
    inputs: int = Field(3, ge=1, le=64, description="Input channels; bands are mapped onto them.")
    seeing: bool = Field(False, description="Whether one more input channel holds the seeing of the image.")
    one_cell: bool = Field(
        False,
        description="Whether one cell alone learns to answer for each source, so that both members of a close pair can "
        "stay; false: several cells, as in YOLOX.",
    )
    start: values.OptionalModelName = Field(
        None,
        description="Weights to go on from: default, a name, a path, or the name of another recipe with the same "
        "output; size, levels, inputs and seeing must be theirs. Or a YOLOX of the same size that was trained on "
        "photographs (.onnx, as its authors release it). null: from random numbers.",
    )

    @property
    def from_photographs(self) -> bool:
        """Whether the training starts from a published YOLOX."""
        return self.start is not None and self.start.endswith(".onnx")


class SimulationSection(Section):
    """``data.simulation``: scenes made with GalSim, whose truth is known."""

    scenes: int = Field(1000, ge=1, le=10**9, description="Number of scenes.")
    validation: int = Field(40, ge=1, le=10**9, description="Number of scenes kept for validation.")
    size: int = Field(512, ge=32, le=65536, description="Side of a scene in pixels.")
    surveys: values.Weights = Field(
        {"sdss": 1.0},
        description="Surveys whose pixels, seeing and depth are imitated, with the share of each.",
    )


class LabelsSection(Section):
    """``data.labels[]``: real images with a table of their sources."""

    images: ImagesSection = Field(
        description="The images, as in a survey.yml.", examples=[{"path": "field-{band}.fits", "bands": ["r"]}]
    )
    field: str | None = Field(None, description="Name of the field; null: the only one.")
    truth: values.InputPath = Field(
        description="Table of the sources (CSV): x, y (0-based pixels of the reference band), class.",
        examples=["truth.csv"],
    )
    split: values.InputPath | None = Field(
        None, description="Table (CSV) that assigns the rows of truth to parts: row, part."
    )
    part: str = Field("train", min_length=1, max_length=100, description="Part of the split that is used.")
    region: tuple[int, int, int, int] | None = Field(
        None, strict=False, description="x0, x1, y0, y1 of the pixels that the labels cover; null: their bounds."
    )
    holdout: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the rows of the labelled region, those with the highest y, that is kept out of training, "
        "to validate and calibrate on.",
    )
    weight: float = Field(1.0, gt=0, le=1e6, description="How often it is drawn, in units of one scene.")


class SkySection(Section):
    """``data.sky[]``: real images into which simulated sources are injected."""

    images: ImagesSection = Field(
        description="The images, as in a survey.yml.", examples=[{"path": "field-{band}.fits", "bands": ["r"]}]
    )
    fields: values.NameList = Field((), description="Names of the fields to use; none: all.")
    exclude: values.NameList = Field((), description="Names of fields that are left out.")
    profile: str = Field("sdss", description="Survey whose population of sources is injected.")
    injections: int = Field(2, ge=1, le=10**6, description="Examples made of each field.")
    weight: float = Field(1.0, gt=0, le=1e6, description="How often each is drawn, in units of one scene.")


class StampsSection(Section):
    """``data.stamps``: cutouts of real galaxies with votes on their morphology."""

    folder: values.InputPath = Field(
        description="Folder of a Galaxy Zoo 2 sample: labels.csv and images/.", examples=["gz2"]
    )
    part: Literal["train", "val", "test"] = Field("train", description="Part that is used for training.")
    share: float = Field(0.3, ge=0, le=1, description="Share of the scenes that get some.")
    per_scene: int = Field(10, ge=1, le=1000, description="Galaxies laid into such a scene.")


class PhosimSection(Section):
    """``data.phosim``: fields like those of Astro R-CNN, on which the AstroYOLO paper tells stars from galaxies."""

    folder: values.InputPath | None = Field(
        None,
        description="Folder of sets in Astro R-CNN's layout (set_0/img_g.fits, ..., masks). null: fields like them are "
        "simulated.",
    )
    train: int = Field(200, ge=1, le=10**6, description="Fields simulated for training; of a folder all are used.")
    validation: int = Field(12, ge=1, le=10**6, description="The same for validation.")
    test: int = Field(50, ge=1, le=10**6, description="The same for the test.")
    size: int = Field(512, ge=64, le=4096, description="Side of a simulated field in pixels.")
    isophote: float = Field(
        0.3,
        gt=0,
        le=100,
        description="Boxes end where a source's own light falls below this, in units of the sky's noise in all bands "
        "together.",
    )
    faintest: float = Field(
        15.0, gt=0, le=1000, description="Signal to noise below which a source is neither asked for nor punished."
    )


class GalaxiesSection(Section):
    """``data.galaxies``: cutouts of single galaxies with votes for smooth or disk."""

    folder: values.InputPath = Field(
        description="Folder of a sample of Galaxy Zoo DECaLS or Galaxy Zoo 2: labels.csv and images/.",
        examples=["gz2"],
    )
    centre: float = Field(0.5, gt=0, le=1, description="Side of the middle that is cut out, in sides of the image.")
    side: int = Field(96, ge=16, le=1024, description="Side in pixels to which the middle is made smaller.")
    mix_up: float = Field(0.3, ge=0, le=1, description="How often two mosaics are laid over each other.")
    majority: float = Field(
        0.8,
        ge=0.5,
        lt=1,
        description="Share of the votes that makes a clear majority; the test's accuracy is that over such galaxies.",
    )


class DataSection(Section):
    """``data``: what to learn from."""

    simulation: SimulationSection | None = Field(None, description="Simulated scenes. null: none.")
    labels: tuple[LabelsSection, ...] = Field((), strict=False, description="Real images with known sources.")
    sky: tuple[SkySection, ...] = Field(
        (), strict=False, description="Real images whose sky and noise lie under injected sources."
    )
    stamps: StampsSection | None = Field(None, description="Galaxy cutouts for the morphology head. null: none.")
    phosim: PhosimSection | None = Field(
        None, description="Fields of Astro R-CNN, or simulated like them; instead of the above. null: none."
    )
    galaxies: GalaxiesSection | None = Field(
        None, description="Cutouts of single galaxies, shown by themselves and not in fields. null: none."
    )

    @model_validator(mode="after")
    def _there_is_some(self) -> Self:
        mixed = self.simulation or self.labels or self.sky or self.stamps
        if self.phosim and mixed:
            fail("data", [("phosim", "cannot be used together with simulation, labels, sky or stamps")])
        if not self.sets:
            fail("data", [((), "needs simulation, labels, phosim or galaxies")])
        return self

    @property
    def sets(self) -> tuple[str, ...]:
        """What a phase of the schedule may name: ``fields`` with many sources, ``galaxies`` one by one."""
        fields = self.simulation or self.labels or self.phosim
        return tuple(name for name, there in (("fields", fields), ("galaxies", self.galaxies)) if there)


class PhaseSection(Section):
    """``training.schedule.phases[]``: a part of the training with one data set."""

    data: Literal["fields", "galaxies", "both"] = Field(
        description="Data set: fields (phosim, simulation, labels, sky), galaxies, or both, as many of each in a step.",
        examples=["fields"],
    )
    heads: values.Heads = Field(
        strict=False,
        min_length=1,
        description="Heads that learn from it; the others stay as they are.",
        examples=[["detection", "stargalaxy"]],
    )
    samples: int = Field(1000, ge=1, le=10**9, description="Crops or mosaics, after which the next phase begins.")
    freeze: bool = Field(False, description="Keep the backbone as it is.")
    rate: float = Field(1.0, gt=0, le=10, description="Factor on the learning rate.")


class ScheduleSection(Section):
    """``training.schedule``: data sets one after another."""

    phases: tuple[PhaseSection, ...] = Field(
        strict=False,
        min_length=1,
        description="The phases, in their order.",
        examples=[[{"data": "fields", "heads": ["detection", "stargalaxy"]}]],
    )
    repeat: bool = Field(
        True, description="Begin anew after the last phase, until the steps are done. false: it lasts."
    )


class TrainingSection(Section):
    """``training``: how to learn."""

    crop: int = Field(256, ge=32, le=65536, description="Side of a training crop in pixels.")
    batch: int = Field(24, ge=1, le=65536, description="Crops in a step, on each device.")
    steps: int = Field(20_000, ge=1, le=10**9, description="Optimiser steps.")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="Highest learning rate.")
    weight_decay: float = Field(0.05, ge=0, le=10, description="Weight decay (AdamW).")
    warmup: int = Field(1000, ge=0, le=10**9, description="Steps over which the learning rate rises.")
    precision: Literal["32", "bf16"] = Field("32", description="Number format of the forward pass.")
    workers: int = Field(2, ge=0, le=1024, description="Processes that prepare the data; 0: none.")
    validate_every: int = Field(1000, ge=1, le=10**9, description="Steps between two validations.")
    patience: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="Validations without a better loss after which training stops; the best weights are kept. null: "
        "all steps are done, and the last are kept.",
    )
    devices: values.Workers = Field(
        "auto",
        description="GPUs that train together, or processes on a machine without one; auto: every GPU, or one process.",
    )
    schedule: ScheduleSection | None = Field(
        None, description="What is learned when. null: all heads from all fields, all the time."
    )

    @field_validator("precision", mode="before")
    @classmethod
    def _precision_as_text(cls, value: Any) -> Any:
        return "32" if value == 32 and isinstance(value, int) else value

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup > self.steps:
            fail("training", [("warmup", f"{self.warmup} is more than steps, {self.steps}")])
        return self


class RunsSection(Section):
    """``output``: where checkpoints and logs go."""

    directory: values.OutputPath = Field("runs", description="Folder of the runs, relative to this file.")


class RecipeConfig(File):
    """A ``recipe.yml``: how to train a network. Make one with `read` or `from_dict`.

    Examples
    --------
    >>> from astrogalaxy.config import RecipeConfig
    >>> recipe = RecipeConfig.from_dict({"name": "mine", "data": {"simulation": {"scenes": 100}}})
    >>> recipe.task, recipe.data.simulation.scenes, recipe.seed
    ('detection', 100, 1)
    """

    name: values.FileName = Field(description="Name of the weights.", examples=["my-detector"])
    published: str | None = Field(
        None, description="Row of a paper's table that 'astrogalaxy evaluate' prints beside this recipe's numbers."
    )
    task: Literal["detection"] = Field("detection", description="What is learned.")
    model: ModelSection = Field(default_factory=dict, description="The network.")
    data: DataSection = Field(description="What to learn from.", examples=[{"simulation": {"scenes": 1000}}])
    training: TrainingSection = Field(default_factory=dict, description="How to learn.")
    seed: int = Field(1, ge=0, lt=2**32, description="Seed of every random choice.")
    output: RunsSection = Field(default_factory=dict, description="The results.")

    @model_validator(mode="after")
    def _crop_fits_levels(self) -> Self:
        if self.training.crop % max(self.model.levels):
            problem = f"must be a multiple of the coarsest level, {max(self.model.levels)}"
            fail("recipe", [(("training", "crop"), f"{problem}, not {self.training.crop}")])
        return self

    @model_validator(mode="after")
    def _phases_have_data(self) -> Self:
        phases = self.training.schedule.phases if self.training.schedule else ()
        there = self.data.sets
        problems = [
            (("training", "schedule", "phases", number, "data"), f"the recipe has no {name}; add them under data")
            for number, phase in enumerate(phases)
            for name in (("fields", "galaxies") if phase.data == "both" else (phase.data,))
            if name not in there
        ]
        fail("recipe", problems)
        return self


def read_recipe(path: str | Path) -> RecipeConfig | ClassifierRecipe:
    r"""Read a ``recipe.yml`` of any task: a detector's, or, with ``task: morphology``, a classifier's.

    Parameters
    ----------
    path : path-like
        The file, or one of the pipelines that come with astrogalaxy, such as
        ``pipelines/recipes/astroyolo-nano.yml``.

    Returns
    -------
    RecipeConfig or ClassifierRecipe
        With absolute paths.

    Raises
    ------
    ConfigError
        Anything is wrong: one line ``file:line: key: what is wrong`` for each problem.

    Examples
    --------
    >>> from pathlib import Path
    >>> from astrogalaxy.config import read_recipe
    >>> read_recipe("pipelines/recipes/astroyolo-nano-simulated.yml").task
    'detection'
    >>> text = "name: mine\ntask: morphology\ndata:\n  - {format: folders, path: galaxies}\n"
    >>> _ = Path("mine.yml").write_text(text, encoding="utf-8")
    >>> read_recipe("mine.yml").task
    'morphology'
    """
    data = parse_yaml(read_text(locate(Path(path))), source=str(path)).data
    classifier = isinstance(data, Mapping) and data.get("task") == ClassifierRecipe.model_fields["task"].default
    return ClassifierRecipe.read(path) if classifier else RecipeConfig.read(path)


# -- documentation and templates -------------------------------------------------------------------


def presets() -> dict[str, Path]:
    """The survey files that come with astrogalaxy: ``quickstart`` and one for each survey.

    Returns
    -------
    dict of str to pathlib.Path
        Files by the names that ``astrogalaxy init`` takes.

    Examples
    --------
    >>> from astrogalaxy.config import presets
    >>> sorted(presets())
    ['hsc', 'legacy', 'panstarrs', 'quickstart', 'sdss']
    """
    folder = pipelines_folder()
    return {path.stem: path for path in [*sorted(folder.glob("*.yml")), *sorted(folder.glob("surveys/*.yml"))]}


def config_rows(model: type[File] = SurveyConfig) -> list[KeyRow]:
    """Every key of a file as rows (key, type, default, description), for the documentation.

    Parameters
    ----------
    model : type
        `SurveyConfig`, `RecipeConfig` or `ClassifierRecipe`.

    Returns
    -------
    list of KeyRow
        In the order of the file; keys of sections have dots.

    Examples
    --------
    >>> [row for row in config_rows() if row.key == "compute.device"]  # doctest: +ELLIPSIS
    [KeyRow(key='compute.device', type='auto | cpu | cuda', default='auto', description='...')]
    """
    return key_rows(model)


def commented_yaml(preset: str | None = None, *, model: type[File] = SurveyConfig) -> str:
    """Text of a configuration file with every key, each under a comment that explains it.

    Parameters
    ----------
    preset : str, optional
        One of `presets`: its values and its own comments; otherwise defaults and examples.
    model : type, optional
        `SurveyConfig`, or `RecipeConfig` (which has no presets).

    Returns
    -------
    str
        YAML that `SurveyConfig.read` and its like take.

    Raises
    ------
    ConfigError
        There is no such preset.

    Examples
    --------
    >>> print(commented_yaml("sdss"))  # doctest: +ELLIPSIS
    # ...
    """
    if preset is None:
        return render_commented(model, Commented({}, [], {}))
    known = presets()
    if preset not in known:
        hint = did_you_mean(preset, list(known)) or f"; there are {', '.join(known)}"
        raise ConfigError(f"there is no pipeline {show(preset)}{hint}")
    return render_commented(model, read_commented(known[preset]))
