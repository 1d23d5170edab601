"""
A survey on a cluster
=====================

Several fields, worked on by the workers of a Dask cluster; one file is damaged, and a second run mends it.

Here the cluster is two workers within this script. With the address of a scheduler, or a cluster of `dask-jobqueue
<https://jobqueue.dask.org>`_, the rest stays as it is (:doc:`/howto/slurm`).

The images are simulated, for which this page needs the extra ``train``; a survey of your own does not.
"""

# %%
# A survey
# --------
# Four small fields in two bands, as ``{field}-{band}.fits``:
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
# Something goes wrong, as it does: a transfer broke off.
whole = (folder / "north2-g.fits").read_bytes()
_ = (folder / "north2-g.fits").write_bytes(whole[:20_000])

# %%
# Run it on the cluster
# ---------------------
# `execute <astrogalaxy.survey.execute>` is `run <astrogalaxy.survey.run>` with a summary of what was done. Any Dask client will
# do.
from distributed import Client, LocalCluster

from astrogalaxy.survey import execute

cluster = LocalCluster(
    n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
)
client = Client(cluster)
summary = execute(survey, client=client)
summary

# %%
# The damaged file cost its band in its field, and nothing else: those sources have NaN there, and say so by a flag.
catalog = summary.catalog
hurt = catalog.flagged("missing_band")
print(
    f"exit code {summary.exit_code}; {len(catalog)} sources, {len(hurt)} of them without a band"
)
print(hurt["field", "ra", "mag_g", "mag_r"][:3])

# %%
# Mend, and run again
# -------------------
# Every tile has a key, made of the content of its files, of the settings and of the weights. Only what has changed is done again:
_ = (folder / "north2-g.fits").write_bytes(whole)
again = execute(survey, client=client)
again

# %%
# Everything that was done, for programs, is in ``run.json``:
record = json.loads((again.directory / "run.json").read_text())
print(record["status"], {tile["field"]: tile["status"] for tile in record["tiles"]})

# %%
# Where the time goes, in seconds of one core; the small fields of this page spend it on what a run needs whatever its size.
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6, 2.5), layout="constrained")
first = json.loads((summary.directory / "run.json").read_text())
seconds = {name: value for name, value in first["seconds"].items() if value > 0.01}
ax.barh(list(seconds), list(seconds.values()), color="#0072b2")
ax.invert_yaxis()
_ = ax.set(xlabel="seconds")
client.close()
cluster.close()
