"""Damaged bytes: what disks, networks and strangers make of a file."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = ["Damage", "damages", "fuzz"]

Damage = Callable[[bytes], bytes]

#: The same examples in every run, and few of them: these tests are run with all others.
fuzz = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def damages() -> st.SearchStrategy[Damage]:
    """Cut short, bytes changed, a part left out or put in twice, rubbish put in or in the place of all."""
    place, some = st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=40)
    return st.one_of(
        st.builds(_cut, place),
        st.builds(_changed, st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=5)),
        st.builds(_head_changed, st.lists(st.tuples(place, st.integers(1, 255)), min_size=1, max_size=3)),
        st.builds(_inserted, place, some),
        st.builds(_overwritten, place, some),
        st.builds(_moved, place, place),
        st.builds(lambda text: lambda _: text, st.binary(max_size=200)),
    )


def _cut(place: float) -> Damage:
    return lambda raw: raw[: int(place * len(raw))]


def _changed(changes: list[tuple[float, int]], *, within: int | None = None) -> Damage:
    def damage(raw: bytes) -> bytes:
        content = bytearray(raw)
        for place, bits in changes:
            content[int(place * min(len(raw), within or len(raw)))] ^= bits
        return bytes(content)

    return damage


def _head_changed(changes: list[tuple[float, int]]) -> Damage:
    return _changed(changes, within=1500)


def _inserted(place: float, some: bytes) -> Damage:
    return lambda raw: raw[: int(place * len(raw))] + some + raw[int(place * len(raw)) :]


def _overwritten(place: float, some: bytes) -> Damage:
    return lambda raw: raw[: int(place * len(raw))] + some + raw[int(place * len(raw)) + len(some) :]


def _moved(first: float, second: float) -> Damage:
    """Leave a part out, or repeat it."""
    return lambda raw: raw[: int(first * len(raw))] + raw[int(second * len(raw)) :]
