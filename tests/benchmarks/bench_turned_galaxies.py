"""What turning and flipping the pictures of galaxies does to a classifier, with its network alone and with the mean over views.

Galaxies of Galaxy Zoo 2 by right angles and flips: in how many classes a galaxy is put by the network alone, and how right and
how sure it is as pictures lie in their files ("upright"), on the average over the eight views, and with the mean over them. The
temperature of each is fitted on the validation part, on which the epoch was chosen, too, in the upright view. Seconds are those of one core.

    python tests/benchmarks/bench_turned_galaxies.py --data DATA
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from contest.data import add_data
from contest.record import table

from astrogalaxy.datasets.splits import read_split
from astrogalaxy.datasets.votes import read_votes
from astrogalaxy.evaluation.classification import score_classes
from astrogalaxy.models import load_classifier
from astrogalaxy.morphology import Classifier
from astrogalaxy.morphology.classifier import probabilities
from astrogalaxy.morphology.export import network_of
from astrogalaxy.morphology.pictures import resized
from astrogalaxy.training.classifier.finish import fit_temperature, logits_of

SPLIT = Path(__file__).parents[2] / "pipelines" / "recipes" / "splits" / "gz2-sample.csv"
CLEAR = 0.6
PARTS = {"val": "validation", "test": "test"}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, "gz2/")
    parser.add_argument("--model", default="galaxyzoo-fine", help="classifier of the fine classes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    weights = load_classifier(args.model)
    pictures, shares = galaxies(args.data / "gz2", weights.card)
    logits = {
        part: logits_of(network_of(weights), those, weights.card.normalise, copies=8)
        for part, those in pictures.items()
    }
    for part, name in PARTS.items():
        said = logits[part].argmax(axis=2)
        several = np.mean([len(set(one)) > 1 for one in said.T])
        print(f"{name}: {len(said.T)} galaxies, of which the network alone puts {several:.0%} in two classes or more")
    print(table([row for part in PARTS for row in measured(part, logits, shares, weights.card.classes)]))
    print(table(timed(Classifier(weights, threads=1), pictures["val"][:64])))


def galaxies(folder: Path, card) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Pictures as a network sees them, and shares of the votes, by part."""
    cutouts, parts = read_votes(folder, classes="fine"), read_split(SPLIT)
    rows = {part: [i for i, name in enumerate(cutouts.names) if parts.get(str(name)) == part] for part in PARTS}
    pictures = {
        part: np.stack([resized(cutouts.read(i), card.side, centre=card.centre) for i in some])
        for part, some in rows.items()
    }
    return pictures, {part: cutouts.shares[some] for part, some in rows.items()}


def measured(
    part: str, logits: dict[str, np.ndarray], shares: dict[str, np.ndarray], classes
) -> list[dict[str, object]]:
    """Rows of a part: the upright view, the average over all views, and the mean over them."""
    chosen = np.eye(len(classes))[shares["val"].argmax(axis=1)]
    one, eight = (fit_temperature(logits["val"][:copies], chosen) for copies in (1, 8))
    single = [probabilities(view, one) for view in logits[part]]
    kinds = {
        "upright": single[:1],
        "average over single views": single,
        "mean over eight views": [probabilities(logits[part], eight).mean(axis=0)],
    }
    answers, clear = shares[part].argmax(axis=1), shares[part].max(axis=1) > CLEAR
    rows = []
    for name, views in kinds.items():
        right = np.array([p.argmax(axis=1) == answers for p in views])
        loss = -np.log([p[np.arange(len(p)), answers] for p in views]).mean()
        errors = [score_classes(p[clear], answers[clear], classes, resamplings=0).ece for p in views]
        rows.append(
            {"part": PARTS[part], "answer": name, "accuracy": right.mean(), "of the clear": right[:, clear].mean(),
             "log loss": loss, "calibration error of the clear": float(np.mean(errors))}
        )  # fmt: skip
    return rows


def timed(classifier: Classifier, pictures: np.ndarray) -> list[dict[str, object]]:
    """Milliseconds for a galaxy, as it is served and with one view."""
    rows = []
    for copies in (1, 8):
        classifier.card = classifier.card.model_copy(update={"views": copies})
        classifier(pictures[:8])
        begin = time.process_time()
        classifier(pictures)
        rows.append({"views": copies, "ms for a galaxy": 1000 * (time.process_time() - begin) / len(pictures)})
    return rows


if __name__ == "__main__":
    main()
