from __future__ import annotations

import pickle

from astrogalaxy.errors import ConfigError


def test_a_message_moves_no_cursor_and_breaks_no_line() -> None:
    error = ConfigError("a.csv: no columns ra and dec among \x1ea, \x1b[31mred, \x85, n\u00e4he\nsecond line")
    assert str(error) == "a.csv: no columns ra and dec among ?a, ?[31mred, ?, n\u00e4he\nsecond line"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
