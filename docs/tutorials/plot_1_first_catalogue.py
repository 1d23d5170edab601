"""
Your first catalogue
====================

This tutorial makes a table of stars and galaxies from three FITS images. It shows how to read the images, detect the
sources, look at them, plot them, and write the catalogue.

The images come with the package. They show one small field in *g*, *r* and *i*, which was simulated with GalSim to
look like SDSS data.
"""

# %%
# Read the images
# ---------------
# `Image.read <astrogalaxy.images.Image.read>` takes one file per band, in order of wavelength, the shortest first. The
# zero point is the AB magnitude of one image unit. These images are in nanomaggies, like those of SDSS, so the zero
# point is 22.5.
import matplotlib.pyplot as plt

import astrogalaxy as ag
from astrogalaxy.config import pipelines_folder

folder = pipelines_folder() / "quickstart"
files = {band: folder / f"quickstart-{band}.fits" for band in "gri"}
image = ag.Image.read(files, reference="r", zeropoint=22.5, name="quickstart")
image

# %%
# Find the sources
# ----------------
# One call finds, classifies and measures the sources. You need not choose a threshold, since the scores of the network
# are calibrated: nine in ten sources with ``det_score`` 0.9 are real.
catalog = ag.detect(image)
catalog

# %%
# Draw the sources over the image. The semi-axes of the ellipses are three times ``a`` and ``b``, the rms widths of the
# light along each axis:
_ = image.plot(catalog=catalog)

# %%
# What is in the table
# --------------------
# A `SourceCatalog <astrogalaxy.catalog.SourceCatalog>` is an astropy table. Every column has a description, and a unit
# where it has one (:doc:`/reference/columns`).
catalog[
    "ra",
    "dec",
    "class",
    "p_galaxy",
    "mag_r",
    "mag_r_err",
    "half_light_radius",
    "flags",
][:5]

# %%
# ``coords`` gives the positions as a ``SkyCoord``. The bits of ``flags`` have names (:doc:`/reference/flags`), and
# ``count_flags`` counts the sources with each flag:
from astrogalaxy.catalog import count_flags

print(catalog.coords[0].to_string("hmsdms", precision=2))
print({name: int(n) for name, n in count_flags(catalog["flags"]).items() if n})

# %%
# Select and plot
# ---------------
# Select sources without flags and with a signal-to-noise ratio above 10. Stars and galaxies differ in size:
clean = catalog[(catalog["snr"] > 10) & (catalog["flags"] == 0)]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for kind, colour in (("star", "#0072b2"), ("galaxy", "#d55e00")):
    some = clean[clean["class"] == kind]
    left.plot(
        some["mag_r"],
        some["half_light_radius"],
        ".",
        color=colour,
        label=f"{len(some)} x {kind}",
    )
    right.plot(
        some["mag_g"] - some["mag_r"],
        some["mag_r"] - some["mag_i"],
        ".",
        color=colour,
    )
left.set(xlabel="r (AB mag)", ylabel="half-light radius (arcsec)", ylim=(0, 3))
left.legend()
_ = right.set(xlabel="g - r", ylabel="r - i", xlim=(-0.5, 2.5), ylim=(-0.5, 2))

# %%
# Write the catalogue
# -------------------
# FITS and VOTable files contain units and UCDs. They open in TOPCAT and Aladin:
import tempfile
from pathlib import Path

out = Path(tempfile.mkdtemp())
catalog.write(out / "first.fits")
catalog.galaxies.write(out / "galaxies.vot")
print(sorted(path.name for path in out.iterdir()))

# %%
# On the command line, ``astrogalaxy run`` does the same for all fields of a survey, and also writes an HTML report:
#
# .. code-block:: bash
#
#    astrogalaxy run pipelines/quickstart.yml
