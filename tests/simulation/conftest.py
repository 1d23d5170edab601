"""Skies in which a single thing is known well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from astrogalaxy.simulation import PROFILES, Conditions, SurveyProfile


@pytest.fixture(scope="session")
def sdss() -> SurveyProfile:
    return PROFILES["sdss"]


@pytest.fixture(scope="session")
def make_conditions(sdss: SurveyProfile) -> Callable[..., Conditions]:
    """Conditions of a calm night; counts as they are, unless told otherwise."""

    def make(profile: SurveyProfile = sdss, **changes: Any) -> Conditions:
        calm = Conditions(
            seeing=dict.fromkeys(profile.bands, 1.3), noise=dict.fromkeys(profile.bands, 0.02),
            beta=3.5, shear=(0.0, 0.0), crowding=1.0, clustering=1.0,
        )  # fmt: skip
        return replace(calm, **changes)

    return make
