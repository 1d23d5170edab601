"""The Dask-parallel run of a survey: plan, tiles, merge, catalogue, report."""

from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.run import RunSummary, execute, run
from astrogalaxy.survey.stages import TileSettings, detect, extract

__all__ = ["Failure", "RunSummary", "TileSettings", "detect", "execute", "extract", "run"]
