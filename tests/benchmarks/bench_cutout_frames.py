"""Fine classes on Galaxy Zoo 2 cutouts as they are, cropped, and with more sky around, scaled as given and as measured.

The galaxies are those of the validation part, by which the scale of cutouts may be judged; the test part is not touched.

    python tests/benchmarks/bench_cutout_frames.py --data ~/data
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from contest.data import add_data

from astrogalaxy.datasets.splits import read_split
from astrogalaxy.datasets.votes import read_votes
from astrogalaxy.morphology import Classifier, open_classifier
from astrogalaxy.morphology.framing import measured_frame
from astrogalaxy.morphology.pictures import resized

WIDTHS = {
    "as they are": 1.0,
    "cropped to 3/4": 0.75,
    "cropped to 1/2": 0.5,
    "sky around, 3/2": 1.5,
    "sky around, 2": 2.0,
}


def framed(picture: np.ndarray, width: float) -> np.ndarray:
    """The middle of a picture, or the picture with pixels of its own sky around; width in its sides."""
    side = len(picture)
    wanted = round(side * width)
    start = abs(side - wanted) // 2
    if wanted <= side:
        return picture[start : start + wanted, start : start + wanted]
    edge = np.concatenate([picture[:20].reshape(-1, 3), picture[-20:].reshape(-1, 3)])
    light = edge.sum(axis=1)
    sky = edge[light <= np.quantile(light, 0.8)]
    made = sky[np.random.default_rng(0).integers(0, len(sky), (wanted, wanted))]
    made[start : start + side, start : start + side] = picture
    return made


def scores(classifier: Classifier, pictures: list[np.ndarray], shares: np.ndarray, *, measured: bool) -> list[float]:
    """Accuracy over all and over the clear ones, and log loss."""
    card, seen = classifier.card, []
    for picture in pictures:
        centre = card.field_of_view / measured_frame(picture) if measured else card.centre
        seen.append(resized(picture, card.side, centre=centre if np.isfinite(centre) else card.centre))
    p, answers = classifier(seen), shares.argmax(axis=1)
    right = p.argmax(axis=1) == answers
    loss = -np.log(p[np.arange(len(p)), answers]).mean()
    return [float(right.mean()), float(right[shares.max(axis=1) > 0.6].mean()), float(loss)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, "gz2/")
    parser.add_argument("--model", default="galaxyzoo-fine", help="classifier of the fine classes")
    args = parser.parse_args()
    cutouts = read_votes(args.data / "gz2", classes="fine")
    parts = read_split(Path(__file__).parents[2] / "pipelines" / "recipes" / "splits" / "gz2-sample.csv")
    chosen = [number for number, name in enumerate(cutouts.names) if parts.get(str(name)) == "val"]
    classifier = open_classifier(args.model)
    print(f"{len(chosen)} galaxies: accuracy, of the clear ones, log loss")
    for name, width in WIDTHS.items():
        pictures = [framed(cutouts.read(number), width) for number in chosen]
        for measured in (False, True):
            values = scores(classifier, pictures, cutouts.shares[chosen], measured=measured)
            print(
                f"{name:16s} {'measured' if measured else 'given':9s}",
                *(f"{value:.3f}" for value in values),
                flush=True,
            )


if __name__ == "__main__":
    main()
