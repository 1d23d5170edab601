"""
How complete is my catalogue?
=============================

Lay sources of known light into your own image, search it again, and see which come out. From the command line:
``astrogalaxy evaluate --inject survey.yml`` (:doc:`/user_guide/completeness`). Both need the extra ``train``.
"""

# %%
# An image
# --------
import matplotlib.pyplot as plt
import numpy as np

import astrogalaxy as ag
from astrogalaxy.config import pipelines_folder

folder = pipelines_folder() / "quickstart"
image = ag.Image.read(
    {band: folder / f"quickstart-{band}.fits" for band in "gri"}, zeropoint=22.5
)

# %%
# Inject, and recover
# -------------------
# Stars have the point spread that is measured on the image's own stars; galaxies have realistic sizes, shapes and colours. The
# detector is any function from an image to a catalogue, so that other detectors can be measured alike.
from astrogalaxy.evaluation.injection import inject_and_recover

recovery = inject_and_recover(image, ag.detect, rounds=3, density=8.0, seed=1)
print(
    f"{len(recovery.injected)} sources injected, {np.sum(recovery.injected['found'])} found again"
)

# %%
# Completeness
# ------------
# By magnitude, with intervals (68 %) that are honest about how few sources a bin has:
table = recovery.completeness()
table[:6]

# %%
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
faint = np.linspace(18, 25, 200)
for (kind, _, _, curve), colour in zip(
    recovery.curves, ("#0072b2", "#d55e00"), strict=False
):
    ax.plot(faint, curve(faint), color=colour, label=kind)
ax.axhline(0.5, color="grey", lw=0.8)
ax.set(xlabel="r (AB mag)", ylabel="completeness", ylim=(0, 1.05))
_ = ax.legend()

# %%
# And what else one wants to know: how often a star is called a galaxy, how biased fluxes are, how much is noise.
print("\n".join(recovery.lines()))

# %%
# Three rounds on a small field are a glance. Ten rounds over a few fields give curves worth publishing; every round is kept, so
# that ``--rounds 30`` later adds twenty to ten.
