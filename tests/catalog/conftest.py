"""Catalogues that this room's tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from astrogalaxy.catalog import CLASSES, MORPHOLOGIES, SourceCatalog, columns_for

META = {
    "CREATOR": "astrogalaxy 0.1",
    "DATE": "2025-01-02T03:04:05",
    "CFGHASH": "0123abcd" * 8,
    "NTILES": 12,
    "COMPLETE": True,
    "SEEING": 1.2345678901234567e-05,
}


def make_catalog(n_rows: int = 7, **settings: Any) -> SourceCatalog:
    """A full catalogue with another number in each cell, and a NaN in each float column."""
    settings = {"bands": ("g", "r", "F160W"), "classes": ("Edge-on disk", "merger"), "meta": META} | settings
    rng = np.random.default_rng(20250102)
    values: dict[str, Any] = {}
    contract = columns_for(settings["bands"], **{k: v for k, v in settings.items() if k in ("calibrated", "classes")})
    for column in contract:
        if column.dtype.startswith("float"):
            values[column.name] = rng.normal(size=n_rows)
            values[column.name][: min(n_rows, 1)] = np.nan
    values |= {"ra": rng.uniform(0, 360, n_rows), "dec": rng.uniform(-90, 90, n_rows)}
    values["class"] = rng.permutation(np.resize(CLASSES, n_rows)) if n_rows else []
    values["morphology"] = np.resize(MORPHOLOGIES, n_rows) if n_rows else []
    values["field"] = [f"frame-{number % 3}" for number in range(n_rows)]
    values["flags"] = np.arange(n_rows) % 256
    return SourceCatalog.from_columns(values, **settings)


@pytest.fixture
def catalog() -> SourceCatalog:
    return make_catalog()


@pytest.fixture
def make() -> Callable[..., SourceCatalog]:
    return make_catalog


def assert_same(left: SourceCatalog, right: SourceCatalog) -> None:
    """Equal in class, columns, types, values, units, UCDs, descriptions, bands and meta."""
    assert type(left) is type(right) is SourceCatalog
    assert left.colnames == right.colnames
    for name in left.colnames:
        mine, theirs = left[name], right[name]
        assert mine.dtype == theirs.dtype, name
        assert type(mine) is type(theirs), name
        assert mine.unit == theirs.unit, name
        assert mine.description == theirs.description, name
        assert mine.meta == theirs.meta, name
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=name)
    assert left.bands == right.bands
    assert left.calibrated == right.calibrated
    assert left.classes == right.classes
    assert left.meta == right.meta
    assert {k: type(v) for k, v in left.meta.items()} == {k: type(v) for k, v in right.meta.items()}


@pytest.fixture
def same() -> Callable[[SourceCatalog, SourceCatalog], None]:
    return assert_same
