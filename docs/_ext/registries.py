"""Pages made from the package's own registries, so that they are always those of the code.

``.. registry:: columns`` and its like put a table (or, for the commands, sections) into a page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from astrogalaxy.catalog import column_rows, flag_rows

__all__ = ["REGISTRIES", "setup"]

# What ``astrogalaxy evaluate`` wrote for the recipes of the AstroYOLO paper.
MEASURED = Path(__file__).parents[1] / "results" / "astroyolo-paper.json"
# The same for those of the morphology papers.
MORPHOLOGY = MEASURED.with_name("morphology-papers.json")
# What tests/benchmarks/bench_measurement.py wrote, its parts "summary", "stars" and "bars".
MEASUREMENT = MEASURED.with_name("measurement.json")
# What ``python tests/benchmarks --json`` wrote.
SPEED = MEASURED.with_name("speed.json")
# What tests/benchmarks/bench_simulated_fields.py and bench_other_surveys.py wrote.
CONTEST, SURVEYS = (MEASURED.with_name(name) for name in ("simulated-fields.json", "other-surveys.json"))
# What the regimes of the first are about, in words.
REGIMES = {
    "sparse": "sparse (0.4 of the usual stars)",
    "normal": "normal",
    "crowded": "crowded (8 times the stars)",
    "difficult": "with artefacts, glare and big galaxies",
    "pairs": "both members of pairs 0.8 to 2 FWHM apart",
    "pairs, settings of normal fields": "the same, settings of normal fields",
}


def plain(text: str) -> str:
    """Text in which nothing is markup."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def code(text: str) -> str:
    """Text as code, a dash where there is none."""
    return f"``{text}``" if text else "\N{EN DASH}"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], widths: str) -> str:
    """A table whose cells are reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (heads, *rows):
        for index, cell in enumerate(row):
            lines.append(("   * - " if index == 0 else "     - ") + cell)
    return "\n".join(lines) + "\n"


def keys(model: Any) -> str:
    """Every key of a configuration file."""
    from astrogalaxy.config import config_rows

    rows = [
        (f"``{row.key}``", plain(row.type), code(row.default), plain(row.description)) for row in config_rows(model)
    ]
    return table(("Key", "Type", "Default", "Meaning"), rows, "22 22 14 42")


def survey_keys() -> str:
    """Keys of survey.yml."""
    from astrogalaxy.config import SurveyConfig

    return keys(SurveyConfig)


def recipe_keys() -> str:
    """Keys of recipe.yml."""
    from astrogalaxy.config import RecipeConfig

    return keys(RecipeConfig)


def classifier_keys() -> str:
    """Keys of recipe.yml with task: morphology."""
    from astrogalaxy.config import ClassifierRecipe

    return keys(ClassifierRecipe)


def classifier_card_fields() -> str:
    """What the card of a classifier says."""
    from astrogalaxy.models import ClassifierCard

    rows = [(code(name), plain(info.description or "")) for name, info in ClassifierCard.model_fields.items()]
    return table(("Field", "Meaning"), rows, "25 75")


def pipelines() -> str:
    """The survey files that come with the package, each with its first comment."""
    from astrogalaxy.config import SurveyConfig, presets

    rows = []
    for name, path in presets().items():
        comment = re.match(r"(?:# ?.*\n)+", path.read_text(encoding="utf-8"))
        words = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
        bands = ", ".join(SurveyConfig.read(path).images.bands)
        rows.append((code(name), bands, plain(words.split(". ")[0].rstrip(".") + ".")))
    return table(("Name", "Bands", "Images"), rows, "15 15 70")


def columns() -> str:
    """The columns of a catalogue."""
    rows = (
        [code(name), kind, unit or "\N{EN DASH}", form, code(ucd), text]
        for name, kind, unit, form, ucd, text in column_rows()
    )
    return table(["Column", "Type", "Unit", "FITS", "UCD", "Meaning"], rows, "auto")


def fields() -> str:
    """The columns of the table of fields."""
    from astrogalaxy.survey.fieldtable import FIELD_COLUMNS

    rows = ([code(c.name), c.unit or "\N{EN DASH}", c.description] for c in FIELD_COLUMNS.values())
    return table(["Column", "Unit", "Meaning"], rows, "auto")


def flags() -> str:
    """The bits of the column ``flags``."""
    rows = ([bit, value, code(name), text] for bit, value, name, text in flag_rows())
    return table(["Bit", "Value", "Name", "Meaning"], rows, "auto")


def formats() -> str:
    """The file formats of a catalogue."""
    from astrogalaxy.formats import format_rows

    rows = [
        (code(name), code(end), code(extra), plain(what), plain(when)) for name, end, extra, what, when in format_rows()
    ]
    return table(("Name", "File", "Extra", "What it is", "When to take it"), rows, "10 12 10 38 30")


def card_fields() -> str:
    """What a weight card says."""
    from astrogalaxy.models import WeightCard

    rows = [(code(name), plain(info.description or "")) for name, info in WeightCard.model_fields.items()]
    return table(("Field", "Meaning"), rows, "25 75")


def cards() -> str:
    """The cards of the bundled weights, a section each."""
    from astrogalaxy.models import bundled, open_weights

    parts = [_card(name, open_weights(name)) for name in bundled()]
    return "\n".join(parts) or "No weights come with this build.\n"


def _card(name: str, weights: Any) -> str:
    rows = [(code(field), plain(_value(value))) for field, value in weights.card.rows()]
    size = weights.path.stat().st_size / 1e6
    text = f"{name}\n{'-' * len(name)}\n\n``{weights.path.name}``, {size:.1f} MB.\n\n"
    return text + table(("Field", "Value"), rows, "25 75")


def _value(value: Any) -> str:
    """The value of a card's field in words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        numbers = all(isinstance(item, (int, float)) for item in value)
        return (", " if numbers else "; ").join(_value(item) for item in value)
    if hasattr(value, "model_dump"):
        return "(" + _value(value.model_dump()) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def commands() -> str:
    """The command line: what --help prints, for every command."""
    from typer.main import get_command

    from astrogalaxy.cli import app

    return "\n".join(_command(*entry) for entry in _walk(get_command(app), "astrogalaxy", None))


def _walk(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    """The path and the help of a command and of those under it."""
    command.rich_markup_mode = None  # words without frames and colours
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=88, max_content_width=88)
    yield context.command_path, command.get_help(context)
    for child, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _walk(below, child, context)


def _command(path: str, text: str) -> str:
    body = "\n".join(f"   {line}".rstrip() for line in text.splitlines())
    return f"{path}\n{'-' * len(path)}\n\n.. code-block:: text\n\n{body}\n"


def astroyolo_paper() -> str:
    """The table of the AstroYOLO paper with the numbers of its recipes, as they were measured last."""
    from astrogalaxy.training.scores.comparison import read_scores
    from astrogalaxy.training.scores.published import PUBLISHED

    measured = {score.published: score for score in (read_scores(MEASURED) if MEASURED.is_file() else [])}
    rows = []
    for key, paper in PUBLISHED.items():
        if not key.startswith(("astro-rcnn", "astroyolo")):
            continue
        score = measured.get(key)
        precision = score and score.precision
        rows.append((
            paper.method,
            share(paper.map_50_90),
            interval(precision and precision.map_50_90),
            interval(precision and precision.map_50_95),
            interval(precision and precision.star),
            interval(precision and precision.galaxy),
            share(paper.accuracy),
            interval(score and score.accuracy),
            f"{score.milliseconds:.0f}" if score else "\N{EN DASH}",
        ))  # fmt: skip
    heads = ("Training", "mAP 50-90, paper", "here", "mAP 50-95", "stars", "galaxies")
    return table((*heads, "smooth or disk, paper", "here", "ms"), rows, "20 8 14 14 14 14 8 14 6")


def morphology_papers() -> str:
    """The tables of the four morphology papers with the numbers of their recipes, as they were measured last."""
    from astrogalaxy.training.scores.classifier_tables import read_classifier_scores
    from astrogalaxy.training.scores.published import PUBLISHED

    found = read_classifier_scores(MORPHOLOGY) if MORPHOLOGY.is_file() else []
    measured = {score.published: score for score in found}
    rows = []
    for key, paper in PUBLISHED.items():
        if key.startswith(("astro-rcnn", "astroyolo")):
            continue
        score = measured.get(key)
        rows.append((
            plain(paper.paper.split(",")[0]),
            plain(paper.method),
            share(paper.accuracy) + (f" ({plain(paper.note)})" if paper.note else ""),
            interval(score and score.test.accuracy),
            "\N{EN DASH}" if paper.parameters is None else f"{paper.parameters:g}",
            f"{score.parameters / 1e6:.1f}" if score else "\N{EN DASH}",
            plain(score.start.split(" (")[0]) if score else "\N{EN DASH}",  # the card says why
            f"{score.epochs}" if score else "\N{EN DASH}",
        ))  # fmt: skip
    heads = ("Paper", "Model", "accuracy, paper", "here", "M parameters, paper", "here", "started from", "epochs")
    return table(heads, rows, "12 20 18 14 10 8 20 8")


def galaxyzoo_classifiers() -> str:
    """How good the classifiers of Galaxy Zoo 2's votes are, as they were measured last: clear galaxies, and all."""
    from astrogalaxy.training.scores.classifier_tables import read_classifier_scores

    rows = []
    for score in read_classifier_scores(MORPHOLOGY) if MORPHOLOGY.is_file() else []:
        if score.name.startswith("galaxyzoo-"):
            for kind, part in (("clear", score.test), ("all", score.everything)):
                errors = (f"{part.ece:.3f}", f"{part.ece_perfect.value:.3f}")
                f1 = f"{part.macro_f1.value:.2f}"
                rows.append((code(score.name), kind, str(part.n), interval(part.accuracy), f1, *errors))
    heads = ("Classifier", "Galaxies", "", "Accuracy, %", "Mean F1", "ECE", "if exact")
    return table(heads, rows, "26 10 8 22 10 10 10")


def morphology_findings() -> str:
    """The findings of the four morphology papers, with what our trainings say of each, as they were measured last."""
    from astrogalaxy.training.scores.classifier_tables import read_classifier_scores
    from astrogalaxy.training.scores.findings import FINDINGS, check_findings, published_difference

    checks = check_findings(read_classifier_scores(MORPHOLOGY) if MORPHOLOGY.is_file() else [])
    found = {(check.statement, check.first, check.second): check for check in checks}
    rows = []
    for finding in FINDINGS:
        for number, (first, second) in enumerate(finding.pairs):
            check = found.get((finding.statement, first, second))
            paper = published_difference(first, second)
            here = [f" ({share(value)})" for value in check.accuracies] if check else ["", ""]
            rows.append((
                plain(f"{finding.statement} ({finding.paper.split(',')[0]})") if not number else "",
                first + here[0],
                second + here[1],
                interval(check and check.difference, said=points, to=" to "),
                points(paper),
                check.verdict if check else "not measured",
            ))  # fmt: skip
    heads = ("Finding", "First", "Second", "Difference here", "paper", "Verdict")
    return table(heads, rows, "34 16 16 16 6 12")


def measurement(kind: str) -> str:
    """How wrong fluxes, positions and sizes are, by kind of source and signal to noise."""
    lines = json.loads(MEASUREMENT.read_text(encoding="utf-8"))["summary"][kind]
    ends = sorted({line["snr"] for line in lines})
    rows = []
    for line in lines:
        above = [f"{end:g}" for end in ends if end > line["snr"]]
        rows.append((
            line["kind"],
            f"{line['snr']:g} to {above[0]}" if above else f"above {line['snr']:g}",
            str(line["n"]),
            biased(*line["bias"]),
            f"{line['pull'][1]:.2f}",
            f"{line['position']:.2f}",
            biased(*line["radius"]),
            f"{100 * line['sep']:+.1f}",
        ))  # fmt: skip
    heads = ("Kind", "S/N in the band", "Fluxes", "Bias of the flux, %", "Width of its pull")
    more = ("Width of the pull of the position", "Bias of the half-light radius, %", "SEP's flux, %")
    return table((*heads, *more), rows, "10 14 8 16 12 14 16 10")


def stars(kind: str) -> str:
    """Bias and scatter of the fluxes of stars, by signal to noise."""
    lines = json.loads(MEASUREMENT.read_text(encoding="utf-8"))["stars"][kind]
    heads = {"total": "Total", "apcor": "Small aperture", "psf": "PSF", "PSFEx": "SExtractor, PSFEx"}
    heads = {name: head for name, head in heads.items() if name in lines[0]}
    ends = [line["snr"] for line in lines]
    rows = []
    for line in lines:
        above = [f"{end:g}" for end in ends if end > line["snr"]]
        fluxes = (f"{100 * line[name]['bias'][0]:+.1f}, {100 * line[name]['scatter']:.1f}" for name in heads)
        rows.append((f"{line['snr']:g} to {above[0]}" if above else f"above {line['snr']:g}", str(line["n"]), *fluxes))
    return table(
        ("S/N in the band", "Fluxes", *(f"{head}, %" for head in heads.values())),
        rows,
        " ".join(["14", "8", *["20"] * len(heads)]),
    )


def speed(name: str) -> str:
    """Times of one of the benchmarks of speed, and on what they were measured."""
    measured = json.loads(SPEED.read_text(encoding="utf-8")).get(name) if SPEED.is_file() else None
    if measured is None:
        return "Not measured yet.\n"
    lines = measured["rows"]
    heads = list(dict.fromkeys(head for line in lines for head in line))
    cells = [[plain(_measured(line.get(head))) for head in heads] for line in lines]
    machine, versions = measured["machine"], measured["versions"]
    known = ", ".join(f"{key} {value}" for key, value in versions.items() if value)
    text = (
        f"``{measured['command']}``, {measured['date']}, commit {measured['commit']}; {plain(machine['processor'])}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB; {plain(known)}.\n"
    )
    widths = " ".join(["30", *["12"] * (len(heads) - 1)])
    return table([plain(head) for head in heads], cells, widths) + "\n" + text


def contest(measured: dict[str, Any]) -> str:
    """Completeness at 95 % purity on simulated fields, of each weights and of the classical programs."""
    tools = list(measured["regimes"]["normal"]["tools"])
    rows = []
    for regime, words in REGIMES.items():
        known = measured["regimes"][regime]
        what = "pairs" if regime.startswith("pairs") else "completeness"
        cells = [_estimate(known["tools"][t][what], known["intervals"][what][t]) for t in tools]
        rows.append((words, str(known["pairs"] if what == "pairs" else known["wanted"]), *cells))
    heads = ("Fields", "Sources or pairs", *_called(tools, measured["header"]))
    return table(heads, rows, "26 10 " + " ".join(["16"] * len(tools)))


def contest_classes(measured: dict[str, Any]) -> str:
    """Stars and galaxies told apart on simulated fields, by brightness."""
    kinds = measured["star/galaxy"]
    tools = [name for name in next(iter(kinds.values()))["bins"][-1] if name not in ("bin", "n", "galaxies")]
    rows = [
        (
            f"{kind}, {'all' if bin_ is known['bins'][-1] else bin_['bin']}",
            str(bin_["n"]),
            *(f"{share(bin_[t]['completeness'])} / {share(bin_[t]['purity'])}" for t in tools),
        )
        for kind, known in kinds.items()
        for bin_ in known["bins"]
    ]
    heads = ("Magnitudes above the limit", "Sources", *_called(tools, measured["header"]))
    return table(heads, rows, "20 8 " + " ".join(["12"] * len(tools)))


def contest_surveys(measured: dict[str, Any]) -> str:
    """Completeness at 95 % purity with fewer bands, on other pixels, and on images of others."""
    lines = [line for part in ("bands", "pixel scales", "other images") for line in measured[part]]
    tools = list(lines[0]["tools"])
    rows = [
        (
            plain(line["name"]),
            *(_estimate(line["tools"][t]["completeness"], line["intervals"][t]) for t in tools),
            *(share(None if isnan(right) else right) for right in line["star/galaxy"].values()),
        )
        for line in lines
    ]
    own = _called(list(lines[0]["star/galaxy"]), measured["header"])
    heads = ("Images", *_called(tools, measured["header"]), *(f"classes, {name}" for name in own))
    return table(heads, rows, "24 " + " ".join(["16"] * len(tools) + ["8"] * len(own)))


def of_a_contest(path: Path, tabulate: Callable[[dict[str, Any]], str]) -> str:
    """A table of what a contest wrote, and how it was measured."""
    if not path.is_file():
        return "Not measured yet.\n"
    measured = json.loads(path.read_text(encoding="utf-8"))
    return tabulate(measured) + _made_by(measured["header"])


def _called(tools: list[str], header: dict[str, str]) -> list[str]:
    """Tools by their names; ours by the names of their weights."""
    first = header["weights"].split()[0]
    return [plain(t.replace("astrogalaxy, astroyolo", "astroyolo").replace("astrogalaxy", first)) for t in tools]


def _estimate(value: float, bounds: list[float]) -> str:
    """Per cent with the ends of its interval, the first two of the bounds."""
    from astrogalaxy.evaluation.intervals import Interval

    return interval(Interval(value, *bounds[:2]))


def _made_by(header: dict[str, Any]) -> str:
    """How a contest was measured."""
    known = [f"commit {header['commit']}", header["weights"], f"SEP {header['sep']}", header["SExtractor"]]
    return f"\n``{header['command']}``; {plain('; '.join(filter(None, known)))}.\n"


def _measured(value: Any) -> str:
    """A cell of a benchmark's table: three digits, or a dash where there is nothing."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return "\N{EN DASH}" if value is None else str(value)


def biased(value: float, error: float) -> str:
    """Per cent and its standard error."""
    return f"{100 * value:+.1f} \N{PLUS-MINUS SIGN} {100 * error:.1f}"


def share(value: float | None) -> str:
    """Per cent; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """Difference in per cent, with its sign; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{100 * value:+.1f}"


def interval(value: Any, *, said: Callable[[float], str] = share, to: str = "\N{EN DASH}") -> str:
    """Per cent with the ends of the interval."""
    return f"{said(value.value)} ({said(value.low)}{to}{said(value.high)})" if value else "\N{EN DASH}"


REGISTRIES: dict[str, Callable[[], str]] = {
    "survey-keys": survey_keys,
    "recipe-keys": recipe_keys,
    "pipelines": pipelines,
    "columns": columns,
    "fields": fields,
    "flags": flags,
    "formats": formats,
    "card-fields": card_fields,
    "cards": cards,
    "commands": commands,
    "astroyolo-paper": astroyolo_paper,
    "classifier-keys": classifier_keys,
    "classifier-card-fields": classifier_card_fields,
    "morphology-papers": morphology_papers,
    "morphology-findings": morphology_findings,
    "galaxyzoo-classifiers": galaxyzoo_classifiers,
    "contest": partial(of_a_contest, CONTEST, contest),
    "contest-classes": partial(of_a_contest, CONTEST, contest_classes),
    "contest-surveys": partial(of_a_contest, SURVEYS, contest_surveys),
    "measurement-isolated": partial(measurement, "isolated"),
    "measurement-stars": partial(stars, "isolated"),
    "measurement-stars-pairs": partial(stars, "pairs"),
    "measurement-pairs": partial(measurement, "pairs"),
    **{
        f"speed-{name}": partial(speed, name)
        for name in ("end-to-end", "stages", "one-core", "scaling", "startup", "formats", "mosaic")
    },
}


class Registry(SphinxDirective):
    """Put a registry into the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse what the registry writes, sections included."""
        name = self.arguments[0]
        if name not in REGISTRIES:
            raise self.error(f"no registry {name!r}; there are {', '.join(REGISTRIES)}")
        self.env.note_reread()  # the registry may change where the page does not
        self.content = StringList(REGISTRIES[name]().splitlines(), source=f"registry {name}")
        return self.parse_content_to_nodes(allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("registry", Registry)
    return {"parallel_read_safe": True}
