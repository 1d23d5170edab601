"""
Train on your own labels
========================

This tutorial fine-tunes the bundled weights on a labelled field of your own. The training on this page is so short that
the network learns next to nothing. On real data, keep the default of 1500 steps.

On the command line, one command does the same: ``astrogalaxy train survey.yml --truth labels.csv``. Both ways need the
extra ``train``.
"""

# %%
# A labelled field
# ----------------
# You need images, a survey.yml, and a table of labels. The table has the column ``class``, and either ``x`` and ``y``
# or ``ra`` and ``dec``. Here, all three are simulated. Your labels may come from a spectroscopic survey or a space
# telescope.
import tempfile
from pathlib import Path

from astrogalaxy import SurveyConfig
from astrogalaxy.simulation import PROFILES, simulate_scene
from astrogalaxy.simulation.write import write_scene

folder = Path(tempfile.mkdtemp())
scene = simulate_scene(PROFILES["sdss"], size=256, seed=11, artefacts=False)
files = write_scene(scene, folder, name="mine")
labels = scene.truth["x", "y", "class"]
labels.write(folder / "labels.csv")
labels[:3]

# %%
# Draw the labels over the image:
import astrogalaxy as ag

bands = {band: folder / f"mine-{band}.fits" for band in scene.images}
image = ag.Image.read(bands, zeropoint=scene.profile.zeropoint)
ax = image.plot()
for kind, colour in (("star", "#f0e442"), ("galaxy", "#56b4e9")):
    some = labels[labels["class"] == kind]
    ax.plot(some["x"], some["y"], "o", mfc="none", color=colour, label=kind)
_ = ax.legend(loc="upper right")

# %%
# The recipe
# ----------
# The recipe is made from the survey.yml. A quarter of the labelled rows of pixels is kept out of the training; it
# decides which weights are kept, and calibrates their probabilities.
from astrogalaxy.training.finetune import fine_tune_recipe

config = SurveyConfig.read(folder / "mine.yml")
recipe = fine_tune_recipe(
    config,
    folder / "labels.csv",
    name="mine-tuned",
    steps=8,
    directory=folder / "runs",
)
print("starts from:", recipe.model.start)
print("learns from:", ", ".join(name for name, part in recipe.data if part))

# %%
# Make the training smaller still, so that this page is built in seconds:
small = recipe.model_dump(mode="json")
small["data"]["simulation"] |= {"scenes": 1, "validation": 1}
small["data"]["sky"] = []
small["training"] |= {
    "crop": 128,
    "batch": 2,
    "learning_rate": 1e-5,
    "validate_every": 8,
    "workers": 0,
}
from astrogalaxy.config import RecipeConfig

recipe = RecipeConfig.from_dict(small)

# %%
# Train
# -----
# If the training is interrupted, the same call continues from the last checkpoint.
from astrogalaxy.training.train import train

trained = train(recipe, command="astrogalaxy train mine.yml --truth labels.csv")
print(trained.weights.card.name, trained.weights.path.name)

# %%
# The metrics of the new weights, and those of the weights that the training started from, are measured on what was kept
# out of the training. After so short a training they mean nothing. With weights of your own, look at them before you
# use the weights.
before, now = (
    metrics["average_precision"] for metrics in (trained.start, trained.metrics)
)
print(f"average precision {before:.2f} -> {now:.2f}")

# %%
# Use the new weights
# -------------------
# Name the weight file in ``detection.model`` of a survey.yml, or give it to `detect <astrogalaxy.survey.detect>`. To
# find out whether the new weights are better, compare both on sources that neither was trained on:
# ``astrogalaxy evaluate catalogue.fits truth.csv`` (:doc:`/user_guide/training`).
print(len(ag.detect(image)), "sources with the bundled weights")
print(len(ag.detect(image, model=trained.weights.path)), "with the new weights")
