"""
How complete is my catalogue?
=============================

This tutorial measures completeness by injection: it adds sources of known flux to an image, detects sources again, and
counts how many of the added sources are found. On the command line, ``astrogalaxy evaluate --inject survey.yml`` does
the same for a whole survey (:doc:`/user_guide/completeness`). Both ways need the extra ``train``.
"""

# %%
# Read an image
# -------------
import matplotlib.pyplot as plt
import numpy as np

import astrogalaxy as ag
from astrogalaxy.config import pipelines_folder

folder = pipelines_folder() / "quickstart"
image = ag.Image.read(
    {band: folder / f"quickstart-{band}.fits" for band in "gri"}, zeropoint=22.5
)

# %%
# Inject and recover
# ------------------
# Injected stars have the point-spread function (PSF) that is measured on the stars of the image. Injected galaxies have
# realistic sizes, shapes and colours. The detector can be any function that makes a catalogue from an image, so you can
# measure other detectors in the same way.
from astrogalaxy.evaluation.injection import inject_and_recover

recovery = inject_and_recover(image, ag.detect, rounds=3, density=8.0, seed=1)
print(
    f"{len(recovery.injected)} sources injected, {np.sum(recovery.injected['found'])} found again"
)

# %%
# Completeness
# ------------
# The table gives the completeness by magnitude. Its intervals (68 %) take into account how few sources a bin has:
table = recovery.completeness()
table[:6]

# %%
# Plot the fitted curves:
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
# ``lines`` summarises the other results: how often stars and galaxies are confused, how biased the fluxes are, and how
# many detections are noise.
print("\n".join(recovery.lines()))

# %%
# Three rounds on a small field give only a first impression. Ten rounds over a few fields give curves that can be
# published. On the command line, every round is kept: after ten rounds, ``--rounds 30`` adds only twenty.
