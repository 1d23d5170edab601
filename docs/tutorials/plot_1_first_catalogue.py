"""
Your first catalogue
====================

From three FITS images to a table of stars and galaxies: read, look, detect, plot, write.

The images come with the package: one small field in *g*, *r* and *i*, simulated with GalSim in the likeness of SDSS.
"""

# %%
# Read the images
# ---------------
# `Image.read <astrogalaxy.images.Image.read>` takes a file per band, the shortest wavelength first. The zero point is the AB
# magnitude of one image unit: these images, like those of SDSS, are in nanomaggies.
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
# One call finds, classifies and measures. It needs no threshold to be chosen: the network's answers are calibrated, so that
# of the sources with ``det_score`` 0.9 nine in ten are real.
catalog = ag.detect(image)
catalog

# %%
# Look at it. Ellipses are three times as large as the light's second moments:
_ = image.plot(catalog=catalog)

# %%
# What is in the table
# --------------------
# A `SourceCatalog <astrogalaxy.catalog.SourceCatalog>` is an astropy table; every column has its unit and description
# (:doc:`/reference/columns`).
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
# Positions are a ``SkyCoord``, and the bits of ``flags`` have names (:doc:`/reference/flags`):
from astrogalaxy.catalog import count_flags

print(catalog.coords[0].to_string("hmsdms", precision=2))
print({name: int(n) for name, n in count_flags(catalog["flags"]).items() if n})

# %%
# Choose, and plot
# ----------------
# Clean, well measured sources; stars and galaxies part ways in size:
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
# Write it
# --------
# FITS and VOTable carry units and UCDs, and open in TOPCAT and Aladin:
import tempfile
from pathlib import Path

out = Path(tempfile.mkdtemp())
catalog.write(out / "first.fits")
catalog.galaxies.write(out / "galaxies.vot")
print(sorted(path.name for path in out.iterdir()))

# %%
# The command line does the same for all fields of a survey, and adds a report for the browser:
#
# .. code-block:: bash
#
#    astrogalaxy run pipelines/quickstart.yml
