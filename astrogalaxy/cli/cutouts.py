"""Verbs for cutouts that hold one galaxy each: classify, explain."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from astrogalaxy.cli.common import (
    FAILED,
    PARTLY,
    LogFile,
    Quiet,
    Verbose,
    argument,
    check_free,
    check_target,
    echo,
    make_folder,
    short,
)
from astrogalaxy.errors import ImageError, OptionError, need

__all__ = ["classify", "explain"]

Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGES...",
        help="JPEG, PNG or FITS images: square, with one galaxy in the centre; for galaxyzoo-fine 19.5 half-light "
        "radii wide.",
    ),
]


def classify(
    images: Images,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TABLE", help="Table to write: CSV, ECSV, FITS or VOTable.")
    ],
    model: Annotated[
        str | None, typer.Option(metavar="WEIGHTS", help="Classifier whose classes become columns: a name or a path.")
    ] = None,
    detector: Annotated[
        str,
        typer.Option(metavar="WEIGHTS", help="Detector weights for p_smooth and p_disk; none: without these columns."),
    ] = "default",
    frame: Annotated[
        Literal["given", "measured"],
        typer.Option(
            help="given: cutouts are as wide as those --model was trained on; measured: each is scaled by its "
            "half-light radius."
        ),
    ] = "given",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing table.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Classify galaxy cutouts: one row for each, with the probabilities of its classes."""
    from astrogalaxy.detection import open_runtime
    from astrogalaxy.files import atomic_path
    from astrogalaxy.morphology import open_classifier
    from astrogalaxy.survey.classify import classify_files

    formats = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable"}
    if output.suffix.lower() not in formats:
        msg = f"--output {output}: the name must end in {', '.join(formats)}"
        raise OptionError(msg)
    check_target(output, force=force)
    if detector == "none" and model is None:
        msg = "classify needs --model, or a --detector other than none"
        raise OptionError(msg)
    with argument():
        classifier = open_classifier(model) if model else None
        runtime = None if detector == "none" else open_runtime(detector, "cpu")
    table = classify_files(images, classifier=classifier, detector=runtime, frame=frame)
    wrong = [str(text) for text in table["error"] if text]
    for text in wrong:
        typer.secho(f"failed: {text}", fg="red", err=True)
    if len(wrong) == len(table):
        # no table of nothing, which would stand in the way of the corrected command
        raise typer.Exit(FAILED)
    with atomic_path(output) as path:
        table.write(path, format=formats[output.suffix.lower()], overwrite=True)
    for row in table:
        echo(f"{row['file']}: {row['class'] or '-'}", quiet=quiet or len(table) > 20)
    classified = sum(bool(kind) for kind in table["class"])  # not where the detector sees no galaxy
    typer.echo(f"wrote {short(output)}: {classified} of {len(table)} classified")
    if wrong:
        raise typer.Exit(PARTLY)


def explain(
    images: Images,
    model: Annotated[str, typer.Option(metavar="WEIGHTS", help="Classifier to explain: a name or a path.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the figures.")] = Path(
        "explained"
    ),
    maps: Annotated[
        str, typer.Option(help="Maps to draw, separated by commas: saliency, gradcam, attention (transformers only).")
    ] = "saliency,gradcam,attention",
    target: Annotated[
        str | None, typer.Option("--class", help="Class to explain. Default: the most probable one.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace existing figures.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
) -> None:
    """Show which parts of a cutout a classifier looks at: one figure for each cutout."""
    need("captum", "train")
    from astrogalaxy.files import atomic_path
    from astrogalaxy.models import load_classifier
    from astrogalaxy.morphology.export import network_of
    from astrogalaxy.survey.explain import explain_file

    figures = _figures(images, output, force=force)
    with argument():
        weights = load_classifier(model)
        card, network = weights.card, network_of(weights)
    if target is not None and target not in card.classes:
        msg = f"--class {target}: {card.name} has the classes {', '.join(card.classes)}"
        raise OptionError(msg)
    wanted = [name.strip() for name in maps.split(",") if name.strip()]
    make_folder(output)
    failed = 0
    for image, path in figures.items():
        try:
            figure = explain_file(image, network, card, target=target, maps=wanted)  # type: ignore[arg-type]
        except ImageError as error:
            typer.secho(f"failed: {error}", fg="red", err=True)
            failed += 1
            continue
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=120, format="png")
        echo(f"wrote {short(path)}", quiet=quiet)
    if failed:
        raise typer.Exit(FAILED if failed == len(images) else PARTLY)


def _figures(images: list[Path], folder: Path, *, force: bool) -> dict[Path, Path]:
    """Where the figure of each image goes."""
    twice = next((stem for stem, n in Counter(image.stem for image in images).items() if n > 1), None)
    if twice is not None:
        msg = f"two images would both write {twice}.png; explain them with different --output folders"
        raise OptionError(msg)
    figures = {image: folder / f"{image.stem}.png" for image in images}
    for path in figures.values():
        check_free(path, force=force)
    return figures
