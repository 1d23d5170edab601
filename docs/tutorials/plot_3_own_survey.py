"""
Bring your own survey
=====================

Images of a camera that nobody has heard of: what to find out about them, how to say it in a survey.yml, and how to check it
before anything is computed.

The images are simulated, for which this page needs the extra ``train``; a survey of your own does not.
"""

# %%
# The images
# ----------
# Let us make some that are as awkward as real ones: compressed, in counts, with the zero point in the header, the image in
# the first extension, a weight map in the second, and a mask in a file of its own.
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
# Questions to ask
# ----------------
# #. What are the files called, and where in the names are band and field? (``path``, ``bands``)
# #. Which extension holds the image? (``hdu``; ``auto`` takes the first image)
# #. What is one image unit? (``zeropoint``, and ``gain`` for the photon noise)
# #. What is known of bad pixels and of the noise? (``mask``, ``weight``, ``saturation``)
#
# ``astrogalaxy init`` writes a file with all keys and their meaning. The bands' names are upper case in these files, so each
# band has a pattern of its own:
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
# A slip of the pen is found before anything is read, with the line and the key that was meant:
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
# ``astrogalaxy check survey.yml`` opens every header and says what a run would do. Here the same from Python:
import subprocess
import sys

command = [sys.executable, "-m", "astrogalaxy", "check", str(survey)]
told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
print(told)

# %%
import astrogalaxy as ag

catalog = ag.run(survey)
catalog

# %%
# Did it understand the units? The simulation knows the truth: magnitudes should agree, and what lies on the dead columns
# should be flagged.
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
# The weight map of these files is an extension beside the image. To use it, write it as a file of its own
# (``weight: "weight_{band}_{field}.fits"``); without one the noise is measured in the image, which is as good where the depth
# is even. Once the file works, it is worth keeping beside the data: it *is* the reduction.
