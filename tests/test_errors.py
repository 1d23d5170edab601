from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from astrogalaxy.errors import ConfigError, MissingExtraError, need


def test_a_message_moves_no_cursor_and_breaks_no_line() -> None:
    error = ConfigError("a.csv: no columns ra and dec among \x1ea, \x1b[31mred, \x85, n\u00e4he\nsecond line")
    assert str(error) == "a.csv: no columns ra and dec among ?a, ?[31mred, ?, n\u00e4he\nsecond line"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("galsim", "simulation"),
        ("galsim", "evaluation.injection"),
        ("lightning", "training.train"),
        ("lightning", "training.classifier.train"),
        ("torch", "detection.network"),
        ("yolox", "detection.network"),
        ("torch", "training.finish"),
        ("torch", "training.classifier.finish"),
        ("torch", "survey.explain"),
    ],
)
def test_rooms_that_need_an_extra_name_it(module: str, room: str) -> None:
    """A script that runs without the extra ends with the command that installs it."""
    code = f"import sys; sys.modules[{module!r}] = None; import astrogalaxy.{room}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = ran.stderr.splitlines()[-1]
    assert last.endswith(f"this needs {module}, which is not installed: pip install 'astrogalaxy[train]'")


def test_a_missing_extra_is_an_import_error() -> None:
    with pytest.raises(ImportError, match="nowhere, which is not installed") as caught:
        need("nowhere", "train")
    assert isinstance(caught.value, MissingExtraError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
