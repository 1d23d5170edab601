"""The Dask-parallel run of a survey: plan, tiles, merge, catalogue, report."""

from astrogalaxy.survey.failures import Failure
from astrogalaxy.survey.run import execute, run
from astrogalaxy.survey.stages import TileSettings, detect, extract
from astrogalaxy.survey.summary import RunSummary

__all__ = ["Failure", "RunSummary", "TileSettings", "detect", "execute", "extract", "run"]
