"""What the morphology papers find of their networks, and whether our trainings agree: differences of accuracies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from astrogalaxy.evaluation.intervals import Interval, percentile_interval
from astrogalaxy.morphology.pretrained import RANDOM
from astrogalaxy.training.scores.classifiers import ClassifierScore
from astrogalaxy.training.scores.published import PUBLISHED, Published

__all__ = [
    "CHANCE",
    "FINDINGS",
    "NEAR",
    "PRETRAINED",
    "Check",
    "Finding",
    "check_findings",
    "printed_findings",
    "published_difference",
]

Floats = NDArray[np.floating]

#: Stands for guessing, all classes alike, instead of a second recipe.
CHANCE = "chance"
#: A smaller difference of accuracies is none, where a paper says that there is none: its "near chance" is 0.06 above.
NEAR = 0.1
#: Recipes that are about trained weights: what is said of them is not tested by a training from random numbers.
PRETRAINED = frozenset({
    "transfer-vgg-deep", "transfer-vgg-shallow", "transfer-dino", "transfer-dino-tuned",
    "lite0-deep", "lite0-shallow", "lite0-tuned",
})  # fmt: skip
# Guessing among the classes of Galaxy10 DECaLS, with which the paper with k-means works.
_PAPER_CHANCE = 0.1


@dataclass(frozen=True)
class Finding:
    """A statement of a paper, and the recipes that test it.

    Attributes
    ----------
    statement : str
        What the paper says, in one sentence.
    pairs : tuple of (str, str)
        Names of recipes, the one that is said to be better first; or a recipe and `CHANCE`.
    alike : bool
        The statement is that the first one is hardly better (by less than `NEAR`), not that it is better.

    Examples
    --------
    >>> from astrogalaxy.training.scores.findings import FINDINGS
    >>> FINDINGS[-3].statement, FINDINGS[-3].pairs
    ('Distillation lifts the student.', (('astrovision-distilled', 'astrovision-mobilenetv3'),))
    """

    statement: str
    pairs: tuple[tuple[str, str], ...]
    alike: bool = False

    @property
    def paper(self) -> str:
        """The paper, as `~astrogalaxy.training.scores.published.PUBLISHED` has it."""
        return next(PUBLISHED[name].paper for pair in self.pairs for name in pair if name in PUBLISHED)


def _against(first: str, *others: str) -> tuple[tuple[str, str], ...]:
    return tuple((first, other) for other in others)


#: In the papers' order.
FINDINGS = (
    Finding(
        "MobileViT-S is more accurate than the other lightweight networks and than well-known ones.",
        _against(
            "mobilevit-mobilevit", "mobilevit-mobilenet", "mobilevit-mobilenetv2", "mobilevit-mobilenetv3",
            "mobilevit-vit", "mobilevit-resnet50v2", "mobilevit-densenet121",
        ),
    ),
    Finding(
        "EfficientNetV2-S with self-attention is the most accurate.",
        (("mobilevit-efficientnetv2s", "mobilevit-mobilevit"),),
    ),
    Finding("CBAM improves EfficientNetV2-S.", (("cbam-efficientnetv2s", "cbam-none"),)),
    Finding(
        "EfficientNetV2-S with CBAM is better than other networks.",
        _against("cbam-efficientnetv2s", "cbam-mobilenetv2", "cbam-resnet50", "cbam-vgg16", "cbam-inceptionresnet"),
    ),
    Finding(
        "Some Fused-MBConv (30 or 50 %) is better than none, and than much (80 %).",
        (
            ("cbam-fused30", "cbam-fused0"), ("cbam-fused50", "cbam-fused0"),
            ("cbam-fused30", "cbam-fused80"), ("cbam-fused50", "cbam-fused80"),
        ),
    ),
    Finding(
        "Mix-up, CutMix and RandAugment would help (named as future work).",
        (("cbam-mixed", "cbam-efficientnetv2s"),),
    ),
    Finding(
        "Deep tuning is better than shallow tuning.",
        (("transfer-vgg-deep", "transfer-vgg-shallow"), ("lite0-deep", "lite0-shallow")),
    ),
    Finding(
        "Transfer (deep tuning, or tuning of all layers) is better than training from scratch.",
        (
            ("transfer-vgg-deep", "transfer-vgg-scratch"),
            ("lite0-deep", "lite0-scratch"), ("lite0-tuned", "lite0-scratch"),
        ),
    ),
    Finding(
        "Training from scratch is better than shallow tuning.",
        (("transfer-vgg-scratch", "transfer-vgg-shallow"), ("lite0-scratch", "lite0-shallow")),
    ),
    Finding(
        "The custom CNN is better than every VGG11.",
        _against("transfer-custom", "transfer-vgg-scratch", "transfer-vgg-deep", "transfer-vgg-shallow"),
    ),
    Finding(
        "k-means of DINO's features is hardly better than chance.",
        (("transfer-dino", CHANCE), ("transfer-dino-tuned", CHANCE)),
        alike=True,
    ),
    Finding("Tuning DINO without labels does not help.", (("transfer-dino-tuned", "transfer-dino"),), alike=True),
    Finding("Distillation lifts the student.", (("astrovision-distilled", "astrovision-mobilenetv3"),)),
    Finding(
        "The distilled student is better than larger networks.",
        _against("astrovision-distilled", "astrovision-resnet152v2", "astrovision-vit"),
    ),
    Finding(
        "Hiera, the teacher, is the most accurate.",
        _against(
            "astrovision-hiera", "astrovision-distilled", "astrovision-mobilenetv3", "astrovision-resnet152v2",
            "astrovision-vit",
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """A pair of recipes, put to a finding.

    Attributes
    ----------
    statement, paper : str
        Of the finding.
    first, second : str
        The recipes; the second one may be `CHANCE`.
    accuracies : tuple of float
        Of both, on the test galaxies whose class is clear, the mean over seeds.
    difference : Interval
        First less second, with its 68 % interval by bootstrap over the galaxies.
    published : float or None
        The paper's difference, where it has numbers of one kind for both.
    paired : bool
        Both were asked of the same galaxies, and each resampling took the same ones of both.
    n : int
        Galaxies that the first was asked of.
    verdict : str
        ``holds`` or ``contradicted`` if an interval twice as wide (about 95 %) is all on one side of zero (of `NEAR`
        where the finding is that there is hardly a difference), ``undecided`` if it is not, and ``not tested`` where
        the finding is about trained weights and there were none.

    Examples
    --------
    Made by `check_findings`.

    >>> from astrogalaxy.evaluation.intervals import Interval
    >>> from astrogalaxy.training.scores.findings import Check
    >>> gain = Interval(0.06, 0.03, 0.09)
    >>> check = Check("CBAM helps.", "Yan (2023)", "with", "none", (0.80, 0.74), gain, None, True, 164, "undecided")
    >>> check.difference.value
    0.06
    """

    statement: str
    paper: str
    first: str
    second: str
    accuracies: tuple[float, float]
    difference: Interval
    published: float | None
    paired: bool
    n: int
    verdict: str


def check_findings(scores: Sequence[ClassifierScore], *, resamplings: int = 2000, seed: int = 0) -> list[Check]:
    """Check what can be checked of the papers' findings.

    Parameters
    ----------
    scores : sequence of ClassifierScore
        Of the recipes that were measured; pairs that are not complete are left out.
    resamplings : int
        Of the galaxies, for the intervals.
    seed : int
        Of the resamplings.

    Returns
    -------
    list of Check
        A line for each pair, in the order of `FINDINGS`.

    Examples
    --------
    >>> import numpy as np
    >>> from astrogalaxy.evaluation.classification import score_classes
    >>> from astrogalaxy.training.scores.classifiers import ClassifierScore
    >>> from astrogalaxy.training.scores.findings import check_findings
    >>> def score(name, right):
    ...     truth, answers = np.arange(len(right)) % 2, np.array([bit == "1" for bit in right])
    ...     said = np.where((truth[:, None] == np.arange(2)) == answers[:, None], 0.9, 0.1)
    ...     test = score_classes(said, truth, ["smooth", "disk"], resamplings=0)
    ...     return ClassifierScore(
    ...         name=name, published=name, architecture="cnn", data="10 cutouts", start="random numbers", weights="abc",
    ...         parameters=1000, flops=0, side=64, seed=1, seeds=1, epochs=5, seconds=60.0, test=test,
    ...         everything=test, galaxies="one set", right=(right,), milliseconds={}, device="cpu",
    ...     )
    >>> scores = [score("astrovision-distilled", "1111101111"), score("astrovision-mobilenetv3", "0110010011")]
    >>> check = check_findings(scores)[0]
    >>> check.statement, round(check.difference.value, 3), check.paired, check.verdict
    ('Distillation lifts the student.', 0.4, True, 'holds')
    """
    known = {score.name: score for score in scores}
    return [
        _check(finding, known[first], known.get(second), resamplings=resamplings, seed=seed)
        for finding in FINDINGS
        for first, second in finding.pairs
        if first in known and (second in known or second == CHANCE)
    ]


def _check(
    finding: Finding, first: ClassifierScore, second: ClassifierScore | None, *, resamplings: int, seed: int
) -> Check:
    """One line; without a second recipe it is compared with guessing."""
    rng = np.random.default_rng(seed)
    one = _right(first)
    two = np.full(len(one), 1 / len(first.test.classes)) if second is None else _right(second)
    paired = second is None or second.galaxies == first.galaxies
    rows = rng.integers(0, len(one), (resamplings, len(one)))
    others = rows if paired else rng.integers(0, len(two), (resamplings, len(two)))
    means = one[rows].mean(axis=1) - two[others].mean(axis=1)
    difference = percentile_interval(float(one.mean() - two.mean()), means)
    name = CHANCE if second is None else second.name
    untrained = any(s.name in PRETRAINED and s.start.startswith(RANDOM) for s in (first, second) if s is not None)
    return Check(
        statement=finding.statement,
        paper=finding.paper,
        first=first.name,
        second=name,
        accuracies=(float(one.mean()), float(two.mean())),
        difference=difference,
        published=published_difference(first.name, name),
        paired=paired,
        n=len(one),
        verdict="not tested" if untrained else _verdict(difference, alike=finding.alike),
    )


def _right(score: ClassifierScore) -> Floats:
    """How often each galaxy's class was told: the share of the seeds."""
    return np.mean([[bit == "1" for bit in bits] for bits in score.right], axis=0)


def _verdict(difference: Interval, *, alike: bool) -> str:
    """What an interval of twice the width says."""
    low, high = (2 * end - difference.value for end in (difference.low, difference.high))
    limit = NEAR if alike else 0.0
    if low > limit:
        return "contradicted" if alike else "holds"
    if high < limit:
        return "holds" if alike else "contradicted"
    return "undecided"


def published_difference(first: str, second: str) -> float | None:
    """Difference of the accuracies that a paper reports.

    Parameters
    ----------
    first, second : str
        Keys of `~astrogalaxy.training.scores.published.PUBLISHED`, which are the recipes' names; second may be
        `CHANCE`.

    Returns
    -------
    float or None
        None where there is no number for both, or one is of training images and the other is not.

    Examples
    --------
    >>> from astrogalaxy.training.scores.findings import published_difference
    >>> round(published_difference("astrovision-distilled", "astrovision-mobilenetv3"), 2)
    0.11
    >>> published_difference("cbam-efficientnetv2s", "cbam-resnet50") is None  # of validation, of training images
    True
    """
    one = PUBLISHED.get(first)
    two = Published("", CHANCE, accuracy=_PAPER_CHANCE) if second == CHANCE else PUBLISHED.get(second)
    if one is None or two is None or one.accuracy is None or two.accuracy is None or one.note != two.note:
        return None
    return one.accuracy - two.accuracy


def printed_findings(checks: Sequence[Check]) -> list[str]:
    r"""Lines of findings for the terminal.

    Parameters
    ----------
    checks : sequence of Check
        See `check_findings`.

    Returns
    -------
    list of str
        For each finding its statement, and below it a line for each pair that tests it: the difference of accuracies in
        points with its interval, the paper's, and the verdict. None if there are no checks.

    Examples
    --------
    >>> from astrogalaxy.evaluation.intervals import Interval
    >>> from astrogalaxy.training.scores.findings import Check, printed_findings
    >>> check = Check(
    ...     "CBAM helps.", "Yan (2023)", "with", "none", (0.8, 0.74), Interval(0.06, 0.03, 0.09), None, True, 164,
    ...     "undecided",
    ... )
    >>> print(*printed_findings([check]), sep="\n")
    CBAM helps. Yan (2023)
      undecided     with 80.0 - none 74.0 = +6.0 [+3.0, +9.0], paper -
    """
    lines: list[str] = []
    for check in checks:
        head = f"{check.statement} {check.paper}"
        if head not in lines:
            lines.append(head)
        one, two = (f"{100 * value:.1f}" for value in check.accuracies)
        value, low, high = (f"{100 * x:+.1f}" for x in astuple(check.difference))
        paper = "-" if check.published is None else f"{100 * check.published:+.1f}"
        pair = f"{check.first} {one} - {check.second} {two} = {value} [{low}, {high}]"
        lines.append(
            f"  {check.verdict:<13} {pair}, paper {paper}" + ("" if check.paired else "; not the same galaxies")
        )
    return lines
