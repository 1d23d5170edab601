"""
Morphology from cutouts
=======================

The network that detects sources also tells smooth galaxies from disks. This tutorial goes further. It makes cutouts of
galaxies from their positions, and classifies them into seven finer classes with the classifier that comes with the
package. It shows what the classifier looks at. At the end, it trains a classifier of its own on one folder of cutouts
per class.

The simulation, the maps and the training need the extra ``train``. Classifying images of your own does not.
"""

# %%
# A field and its galaxies
# ------------------------
# Simulate a field as the Sloan Digital Sky Survey would see it, but with more nearby galaxies than the sky has. Read
# your own images with `Image.read <astrogalaxy.images.Image.read>`; the positions of galaxies may come from any table.
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import astrogalaxy as ag
from astrogalaxy.catalog import has_flags
from astrogalaxy.simulation import PROFILES, draw_conditions, simulate_scene
from astrogalaxy.simulation.write import write_scene

folder = Path(tempfile.mkdtemp())
profile = PROFILES["sdss"]
usual = draw_conditions(profile, np.random.default_rng(1))
scene = simulate_scene(
    profile, size=1024, seed=1, conditions=replace(usual, nearby=100)
)
write_scene(scene, folder, name="field")
image = ag.Image.read(
    {band: folder / f"field-{band}.fits" for band in scene.images},
    zeropoint=profile.zeropoint,
)
catalog = ag.detect(image)
large = (catalog["mag_r"] < 19) & (catalog["half_light_radius"] > 1.5)
whole = ~has_flags(catalog["flags"], "edge")
galaxies = catalog[(catalog["p_galaxy"] > 0.9) & large & whole]
print(f"{len(catalog)} sources, {len(galaxies)} galaxies that show a shape")

# %%
# Cutouts by position
# -------------------
# A classifier expects galaxies of a certain size in the picture. The side of each cutout is therefore proportional to
# the half-light radius, with the factor of the Galaxy Zoo pictures on which the classifier was trained. Three bands
# make a colour picture, in which the longest wavelength is red. ``snr`` is the cube of all bands on one grid, in units
# of the sky noise.
from astrogalaxy.morphology import FIELD_OF_VIEW, colour_picture
from astrogalaxy.morphology.pictures import cut

snr = image.aligned().snr
side = FIELD_OF_VIEW * galaxies["half_light_radius"] / image.pixel_scale
cubes = cut(snr, galaxies["x"], galaxies["y"], side, pixels=192)
pictures = colour_picture(cubes)
pictures.shape

# %%
# Save the cutouts as PNG files. Cutouts of your own may be JPEG, PNG or FITS files (one image, or a cube of bands).
from PIL import Image as Picture

cutouts = folder / "cutouts"
cutouts.mkdir()
for number, picture in enumerate(pictures):
    Picture.fromarray(picture).save(cutouts / f"{number:03d}.png")

# %%
# Classify them
# -------------
# On the command line, this is ``astrogalaxy classify cutouts/*.png -o classes.csv --model galaxyzoo-fine``.
# ``astrogalaxy weights show galaxyzoo-fine`` prints what the classifier was trained on, and how accurate it is.
from astrogalaxy.morphology import open_classifier
from astrogalaxy.survey.classify import classify_files

classifier = open_classifier("galaxyzoo-fine")
classes = classify_files(sorted(cutouts.glob("*.png")), classifier=classifier)
names = [name for name in classes.colnames if name.startswith("p_")]
best = np.max([classes[name] for name in names], axis=0)
order = np.argsort(-best)
kinds = classes["class"][order]
surest = [n for kind in sorted(set(kinds)) for n in order[kinds == kind][:2]]
figure, panels = plt.subplots(2, 4, figsize=(8, 4.6), layout="constrained")
for panel in panels.flat:
    panel.set_axis_off()
for panel, number in zip(panels.flat, surest, strict=False):
    panel.imshow(pictures[number][48:-48, 48:-48], origin="lower")
    panel.set_title(f"{classes['class'][number]} {best[number]:.2f}", fontsize=8)

# %%
# The log warns that the cutouts look narrow. This is because the galaxies are crowded and touch their neighbours. The
# cutouts have the right width, so you can ignore the warning here.
#
# The probabilities are calibrated and add up to one. If the largest probability is low, the picture fits several
# classes. Simulated galaxies have no spiral arms, while the classifier was trained on real galaxies. This page
# therefore shows how to use the classifier; it is no test of its accuracy.
#
# For the galaxies of a whole survey you need no cutout files. One line in the survey.yml adds the class probabilities
# to the catalogue, for each galaxy above a signal-to-noise ratio, and a gallery of each class to the report:
survey = (folder / "field.yml").read_text()
survey += "\nmorphology: {model: galaxyzoo-fine, min_snr: 100}\n"
(folder / "survey.yml").write_text(survey)
catalog = ag.run(folder / "survey.yml", progress=False)
classified = catalog[np.isfinite(catalog["p_edge_on"])]
classified["class", "mag_r", "p_smooth_round", "p_edge_on", "p_merger"][:4]

# %%
# What it looks at
# ----------------
# Two maps show what the classifier looks at: the pixels that change the answer (saliency), and the places whose
# features support it (Grad-CAM). A classifier that looks at the corners has learned the wrong thing. On the command
# line, this is ``astrogalaxy explain cutouts/000.png --model galaxyzoo-fine``.
from astrogalaxy.models import load_classifier
from astrogalaxy.morphology.explain import explain
from astrogalaxy.morphology.export import network_of
from astrogalaxy.morphology.pictures import resized

weights = load_classifier("galaxyzoo-fine")
one = np.flatnonzero(classes["class"] == "edge-on")[0]
seen = resized(pictures[one], weights.card.side, centre=weights.card.centre)
maps = explain(network_of(weights), seen, normalise=weights.card.normalise)
figure, panels = plt.subplots(
    1, 1 + len(maps), figsize=(8, 3), layout="constrained"
)
for panel, (name, shown) in zip(
    panels, {classes["class"][one]: seen, **maps}.items(), strict=True
):
    panel.imshow(shown, origin="lower", cmap="magma")
    panel.set_title(name)
    panel.set_axis_off()

# %%
# Classes of your own
# -------------------
# Put the cutouts into one folder for each class. Usually you sort galaxies by eye; here, their measured ellipticity
# decides.
#
# The cutouts are divided into three parts. The first trains the network (train), the second chooses the best epoch
# (val), and the third measures the accuracy (test). Here, a table assigns each cutout to a part, so that every class
# has its share in each part. Without a table, a hash of the file name decides. With few cutouts, a part may then
# contain none of a class; the log warns of that.
from astrogalaxy.datasets.splits import PARTS, stratified, write_split

kinds = np.where(galaxies["ellipticity"] > 0.4, "flat", "round")
labels = {}
for number, kind in enumerate(kinds):
    (folder / "sorted" / kind).mkdir(parents=True, exist_ok=True)
    name = f"{number:03d}.png"
    (folder / "sorted" / kind / name).write_bytes((cutouts / name).read_bytes())
    labels[f"{number:03d}"] = str(kind)
parts = stratified(labels)
write_split(folder / "parts.csv", parts)
for kind in ("flat", "round"):
    mine = [parts[name] for name in labels if labels[name] == kind]
    print(f"{kind:>5}:", ", ".join(f"{mine.count(part)} {part}" for part in PARTS))

# %%
# A recipe says what to train, on which data, and how. :doc:`/reference/recipe` lists its keys. If you write the recipe
# into a file, ``astrogalaxy train recipe.yml`` trains it.
#
# So few cutouts cannot train a whole network. This recipe starts from the classifier above and trains only its head.
# The new classifier must therefore get its pictures in the same form. If you have some hundred cutouts of each class,
# start from ImageNet weights and train all layers. ``width`` says how many half-light radii wide the cutouts were made
# above. Without it, it is measured in the pictures, where neighbours make these galaxies look larger.
from astrogalaxy.config import ClassifierRecipe
from astrogalaxy.training.classifier.train import train_classifier

card = weights.card
recipe = ClassifierRecipe.from_dict(
    {
        "name": "flat-or-round",
        "task": "morphology",
        "model": {
            "architecture": card.architecture,
            "weights": str(weights.path),
            "tuning": "shallow",
        },
        "data": [
            {
                "format": "folders",
                "path": "sorted",
                "split": "parts.csv",
                "centre": card.centre,
                "width": FIELD_OF_VIEW,
            }
        ],
        "input": {"side": card.side, "normalise": card.normalise},
        "augmentation": {"rotation": 180, "flip": True},
        "training": {
            "batch": 8,
            "epochs": 20,
            "learning_rate": 0.003,
            "balance": "sampling",
        },
        "evaluation": {"timing": False},
    },
    folder=folder,
)
trained = train_classifier(recipe)
print(trained.weights.path.name)

# %%
# The validation part has chosen the best epoch and calibrated the probabilities. The accuracy is therefore measured on
# the test part. With so few cutouts, its interval is wide. On the command line, this is
# ``astrogalaxy evaluate recipe.yml``.
from astrogalaxy.training.scores.classifiers import evaluate_classifier

test = evaluate_classifier(recipe).test
accuracy = test.accuracy
print(
    f"accuracy of {test.n}: {accuracy.value:.2f} ({accuracy.low:.2f} to {accuracy.high:.2f})"
)
for one_class in test.classes:
    print(
        f"{one_class.name:>5}: {one_class.recall:.2f} of {one_class.support} found"
    )

# %%
# You can use the weight file wherever ``galaxyzoo-fine`` was used above: in ``--model``, ``morphology.model`` and
# `open_classifier <astrogalaxy.morphology.open_classifier>`. Here it classifies the galaxies of the test part, from the
# roundest to the flattest:
own = open_classifier(trained.weights.path)
unseen = np.flatnonzero([part == "test" for part in parts.values()])
unseen = unseen[np.argsort(galaxies["ellipticity"][unseen])]
shown = [
    resized(pictures[n], own.card.side, centre=own.card.centre) for n in unseen
]
print("ellipticity  " + "  ".join(own.classes))
for number, p in zip(unseen, own(np.stack(shown)), strict=True):
    ellipticity = galaxies["ellipticity"][number]
    print(f"{ellipticity:11.2f}  {p[0]:4.2f}  {p[1]:5.2f}")
