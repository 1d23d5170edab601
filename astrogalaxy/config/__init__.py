"""Configuration files: ``survey.yml`` for a run and ``recipe.yml`` for training.

Both are strict pydantic models. Every key is documented once, in its ``Field``; the table of the
documentation (`config_rows`) and the commented file of ``astrogalaxy init`` (`commented_yaml`) are made
from that. Relative paths in a file are relative to the file, and are absolute once it is read.
"""

from __future__ import annotations

from astrogalaxy.config.classifier import ClassifierRecipe
from astrogalaxy.config.documentation import commented_yaml, config_rows, presets
from astrogalaxy.config.file import pipelines_folder
from astrogalaxy.config.recipe import RecipeConfig, read_recipe
from astrogalaxy.config.survey import SurveyConfig
from astrogalaxy.config.values import length_in_pixels

__all__ = [
    "ClassifierRecipe",
    "RecipeConfig",
    "SurveyConfig",
    "commented_yaml",
    "config_rows",
    "length_in_pixels",
    "pipelines_folder",
    "presets",
    "read_recipe",
]
