"""
A survey on a cluster
=====================

This tutorial processes several fields on a Dask cluster. One of the files is damaged; a second run repairs the
catalogue once the file has been replaced.

Here, the cluster consists of two workers within this script. To use another cluster, give its scheduler address or a
cluster of `dask-jobqueue <https://jobqueue.dask.org>`_ instead (:doc:`/howto/slurm`). The rest of the script stays the
same.

This page needs the extra ``train``, because it simulates its images. A survey of your own does not need it.
"""

# %%
# Make a survey
# -------------
# Simulate four small fields in two bands, and write them as ``{field}-{band}.fits``:
import json
import tempfile
from pathlib import Path

from astropy.io import fits

from astrogalaxy.simulation import PROFILES, simulate_scene

folder = Path(tempfile.mkdtemp())
for number in range(4):
    scene = simulate_scene(
        PROFILES["sdss"],
        size=192,
        seed=number,
        centre=(150 + number, 2),
        artefacts=False,
    )
    for band in "gr":
        hdu = fits.PrimaryHDU(scene.images[band], scene.wcs[band].to_header())
        hdu.writeto(folder / f"north{number}-{band}.fits")

survey = folder / "survey.yml"
_ = survey.write_text("""\
name: north
images:
  path: "{field}-{band}.fits"
  bands: [g, r]
  zeropoint: 22.5
""")

# %%
# Now damage one file, as if its transfer had been interrupted:
whole = (folder / "north2-g.fits").read_bytes()
_ = (folder / "north2-g.fits").write_bytes(whole[:20_000])

# %%
# Run it on the cluster
# ---------------------
# `execute <astrogalaxy.survey.execute>` does the same as `run <astrogalaxy.survey.run>`, and returns a summary of the
# run. It works with any Dask client.
from distributed import Client, LocalCluster

from astrogalaxy.survey import execute

cluster = LocalCluster(
    n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
)
client = Client(cluster)
summary = execute(survey, client=client)
summary

# %%
# Because of the damaged file, one field lacks one band; nothing else is lost. The sources of this field have NaN in
# that band, and the flag ``missing_band``. A source at the edge of another field has the flag, too, because the *g*
# image does not cover it.
catalog = summary.catalog
hurt = catalog.flagged("missing_band")
print(
    f"exit code {summary.exit_code}; {len(catalog)} sources, {len(hurt)} of them without a band"
)
print(hurt["field", "ra", "mag_g", "mag_r"][:3])

# %%
# Repair the file and run again
# -----------------------------
# Every tile has a key that depends on the content of its files, the settings and the weights. A second run processes
# only the tiles whose key has changed:
_ = (folder / "north2-g.fits").write_bytes(whole)
again = execute(survey, client=client)
again

# %%
# ``run.json`` records everything that was done, in a form that programs can read:
record = json.loads((again.directory / "run.json").read_text())
print(record["status"], {tile["field"]: tile["status"] for tile in record["tiles"]})

# %%
# It also records how long each stage took, in seconds of one core. For fields as small as these, most of the time is
# overhead that does not depend on their size.
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6, 2.5), layout="constrained")
first = json.loads((summary.directory / "run.json").read_text())
seconds = {name: value for name, value in first["seconds"].items() if value > 0.01}
ax.barh(list(seconds), list(seconds.values()), color="#0072b2")
ax.invert_yaxis()
_ = ax.set(xlabel="seconds")
client.close()
cluster.close()
