"""
Bring your own survey
=====================

This tutorial makes a catalogue from the images of a camera that astrogalaxy does not know. It shows what you must find
out about the images, how to write it into a survey.yml, and how to check the file before anything is computed.

This page needs the extra ``train``, because it simulates its images. A survey of your own does not need it.
"""

# %%
# The images
# ----------
# First simulate images that are as awkward as real ones. They are compressed and in counts, and the zero point is in
# the header. The image is in the first extension and a weight map in the second. The mask is in a file of its own.
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrogalaxy.simulation import PROFILES, simulate_scene

folder = Path(tempfile.mkdtemp())
scene = simulate_scene(PROFILES["decam"], size=256, seed=7, artefacts=False)
for band in "gr":
    counts = scene.images[band] * 40  # 40 counts for each unit of the simulation
    noise = np.std(counts[counts < np.median(counts)]) * 1.6
    header = scene.wcs[band].to_header()
    header["PHOTZP"] = scene.profile.zeropoint + 2.5 * np.log10(40)
    image = fits.ImageHDU(counts.astype("float32"), header, name="SCI")
    weight = fits.ImageHDU(
        np.full(counts.shape, noise**-2, "float32"), header, name="WHT"
    )
    fits.HDUList([fits.PrimaryHDU(), image, weight]).writeto(
        folder / f"obs_{band.upper()}_ngc0.fits.gz"
    )
bad = np.zeros(counts.shape, "uint8")
bad[:, 100:103] = 1  # three dead columns
fits.writeto(folder / "badpix.fits", bad)
fits.info(folder / "obs_R_ngc0.fits.gz")

# %%
# What to find out
# ----------------
# #. What are the files called, and where in the names are the band and the field? (``path``, ``bands``)
# #. Which extension holds the image? (``hdu``; ``auto`` takes the first image)
# #. What is the unit of the pixels? (``zeropoint``, and ``gain`` for the photon noise)
# #. What is known about bad pixels and about the noise? (``mask``, ``weight``, ``saturation``)
#
# ``astrogalaxy init`` writes a file that lists all keys and explains them. In these file names, the bands are in upper
# case, so each band has a pattern of its own:
survey = folder / "survey.yml"
_ = survey.write_text("""\
name: ngc0
images:
  path:
    g: "obs_G_{field}.fits.gz"
    r: "obs_R_{field}.fits.gz"
  bands: [g, r]
  reference: r        # the sharper one
  hdu: SCI
  zeropoint: PHOTZP   # a header keyword
  mask: badpix.fits   # the same for all
""")

# %%
# If you mistype a key, the error comes before any image is read. It names the line, and the key that you probably
# meant:
from astrogalaxy import SurveyConfig
from astrogalaxy.errors import ConfigError

wrong = folder / "wrong.yml"
_ = wrong.write_text(survey.read_text().replace("zeropoint", "zero_point"))
try:
    SurveyConfig.read(wrong)
except ConfigError as error:
    print(str(error).replace(str(folder), "."))

# %%
# Check, then run
# ---------------
# ``astrogalaxy check survey.yml`` opens every input and prints what a run would do. Here the command is started from
# Python:
import subprocess
import sys

command = [sys.executable, "-m", "astrogalaxy", "check", str(survey)]
told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
print(told)

# %%
# The plan is as expected, so run the survey:
import astrogalaxy as ag

catalog = ag.run(survey)
catalog

# %%
# Were the units understood? The truth of the simulation is known. The magnitudes should agree with it, and sources on
# the dead columns should be flagged.
import matplotlib.pyplot as plt
from astropy.coordinates import SkyCoord

truth = scene.truth[scene.truth["mag_r"] < 23]
index, apart, _ = catalog.coords.match_to_catalog_sky(
    SkyCoord(truth["ra"], truth["dec"], unit="deg")
)
same = apart.arcsec < 0.7
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(
    truth["mag_r"][index[same]],
    catalog["mag_r"][same] - truth["mag_r"][index[same]],
    ".",
)
ax.axhline(0, color="grey", lw=0.8)
_ = ax.set(xlabel="true r", ylabel="measured - true", ylim=(-1, 1))
print(len(catalog.flagged("masked")), "sources touch masked pixels")

# %%
# The weight map of these files is the second extension, beside the image. To use it, name the same files in ``weight``
# and the extension in ``weight_hdu`` (:doc:`/howto/masks`). Without a weight map, the noise is measured in the image,
# which is as good where the depth is uniform.
#
# Once the survey.yml works, keep it with the data: it is a complete record of how the catalogue was made.
