"""The flag registry and its decoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrogalaxy.catalog import (
    FLAGS,
    CatalogError,
    count_flags,
    decode_flags,
    flag_bits,
    flag_rows,
    has_flags,
)


def test_bits_of_the_contract() -> None:
    assert [(flag.name, flag.bit) for flag in FLAGS.values()] == [
        ("edge", 0),
        ("saturated", 1),
        ("masked", 2),
        ("blended", 3),
        ("missing_band", 4),
        ("deblended", 5),
        ("bad_centroid", 6),
        ("outside_weight", 7),
        ("narrow", 8),
    ]
    assert all(name == flag.name and flag.description for name, flag in FLAGS.items())
    assert flag_bits(*FLAGS) < 2**31


@given(st.sets(st.sampled_from(list(FLAGS))))
def test_decoding_undoes_coding(names: set[str]) -> None:
    assert set(decode_flags(flag_bits(*names))) == names
    assert flag_bits(*decode_flags(flag_bits(*names))) == sum(FLAGS[name].value for name in names)


def test_decode_keeps_unknown_bits_and_order() -> None:
    assert decode_flags(0) == ()
    assert decode_flags(np.int32(5)) == ("edge", "masked")
    assert decode_flags((1 << 20) | 2) == ("saturated", "bit20")
    with pytest.raises(CatalogError, match="negative"):
        decode_flags(-1)


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(CatalogError, match="did you mean 'blended'"):
        flag_bits("edge", "blendet")
    with pytest.raises(CatalogError, match="known flags: edge"):
        flag_bits("qqq")
    with pytest.raises(CatalogError, match=r"named one by one.*\['edge'\] is no name"):
        has_flags([0, 1], ["edge"])  # type: ignore[arg-type]


def test_decoding_takes_one_value() -> None:
    with pytest.raises(CatalogError, match="takes one value, not 2; for columns"):
        decode_flags(np.array([1, 5]))  # type: ignore[arg-type]


def test_counts_and_masks() -> None:
    flags = np.array([0, 1, 5, 128], dtype=np.int32)
    counts = count_flags(flags)
    assert list(counts) == list(FLAGS)
    assert counts["edge"] == 2 and counts["masked"] == 1 and counts["outside_weight"] == 1 and counts["blended"] == 0
    assert has_flags(flags, "masked", "outside_weight").tolist() == [False, False, True, True]
    assert not has_flags(flags).any()
    assert sum(count_flags([]).values()) == 0


def test_documentation_rows() -> None:
    assert flag_rows()[3][:3] == ("3", "8", "blended")
    assert len(flag_rows()) == len(FLAGS)
