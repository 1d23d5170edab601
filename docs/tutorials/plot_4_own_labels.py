"""
Train on your own labels
========================

Weights go on from the bundled ones on a labelled field of your own. This page shows the way with a training so short that
it learns next to nothing: on real data leave it its default of 1500 steps.

From the command line it is one line: ``astrogalaxy train survey.yml --truth labels.csv``. Both need the extra ``train``.
"""

# %%
# A labelled field
# ----------------
# Images, a survey.yml, and a table with ``class`` and either ``x`` and ``y`` or ``ra`` and ``dec``. Here all three are simulated;
# yours may come from a spectroscopic survey or a space telescope.
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
# It is made from the survey: a quarter of the labelled rows of pixels is kept apart to stop the training and to calibrate it.
from astrogalaxy.training.finetune import fine_tune_recipe

config = SurveyConfig.read(folder / "mine.yml")
recipe = fine_tune_recipe(
    config,
    folder / "labels.csv",
    name="mine-tuned",
    steps=8,
    directory=folder / "runs",
)
print("goes on from:", recipe.model.start)
print("learns from:", ", ".join(name for name, part in recipe.data if part))

# %%
# So that this page is built in seconds, the recipe is made smaller still:
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
# Interrupted, the same call goes on from the last checkpoint.
from astrogalaxy.training.train import train

trained = train(recipe, command="astrogalaxy train mine.yml --truth labels.csv")
print(trained.weights.card.name, trained.weights.path.name)

# %%
# Its metrics, and those of the weights that it started from, were measured on what was kept apart. Of so short a training they
# mean nothing; look at them before you use weights of your own.
before, now = (
    metrics["average_precision"] for metrics in (trained.start, trained.metrics)
)
print(f"average precision {before:.2f} -> {now:.2f}")

# %%
# Use it
# ------
# The weight file goes into ``detection.model`` of a survey.yml, or into `detect <astrogalaxy.survey.detect>`. Whether it is better is
# told by sources that neither has seen: ``astrogalaxy evaluate catalogue.fits truth.csv`` (:doc:`/user_guide/training`).
print(len(ag.detect(image)), "sources with the bundled weights")
print(len(ag.detect(image, model=trained.weights.path)), "with these")
