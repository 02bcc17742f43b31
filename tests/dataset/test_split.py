from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latpred.dataset import Split, split_of

ids = st.text("0123456789abcdef", min_size=16, max_size=16)
shares = st.tuples(st.floats(0, 0.5), st.floats(0, 0.49))


def test_the_hash_decides_as_documented() -> None:
    place = int(hashlib.sha256(b"3:00000000000000ab").hexdigest()[:16], 16) / 2**64  # 0.42...
    network_id = "00000000000000ab"
    assert split_of(network_id, 3, val=0.0, test=place + 1e-9) == "test"
    assert split_of(network_id, 3, val=0.0, test=place) == "train"
    assert split_of(network_id, 3, val=1e-9, test=place) == "val"


@given(st.sets(ids, min_size=1, max_size=30), st.sets(ids, max_size=30), st.integers(), shares)
def test_adding_networks_moves_none(before: set[str], added: set[str], seed: int, share: tuple[float, float]) -> None:
    split = Split(seed, *share)
    parts = {network_id: split.part_of(network_id) for network_id in before}
    for network_id in sorted(before | added):
        assert parts.setdefault(network_id, split.part_of(network_id)) == split_of(network_id, seed, *share)


@given(st.integers(), shares)
def test_shares_are_near_their_fractions(seed: int, share: tuple[float, float]) -> None:
    split = Split(seed, *share)
    parts = [split.part_of(f"{i:016x}") for i in range(2000)]
    for name, expected in zip(("val", "test"), share, strict=True):
        assert abs(parts.count(name) / 2000 - expected) < 0.067  # 6 standard deviations of the worst share


@given(ids, st.floats(0, 0.4))
def test_test_networks_stay_when_the_validation_share_changes(network_id: str, val: float) -> None:
    assert (split_of(network_id, 0, 0.1, 0.3) == "test") == (split_of(network_id, 0, val, 0.3) == "test")


def test_seeds_differ() -> None:
    parts = [[split_of(f"{i:016x}", seed, 0.2, 0.2) for i in range(50)] for seed in (0, 1)]
    assert parts[0] != parts[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": None}, "seed must be an integer, got None"),
        ({"seed": True}, "seed must be an integer, got True"),
        ({"val": -0.1}, r"val must lie in \[0, 1\), got -0.1"),
        ({"test": 1}, r"test must lie in \[0, 1\), got 1"),
        ({"val": float("nan")}, r"val must lie in \[0, 1\), got nan"),
        ({"val": 0.5, "test": 0.5}, r"val \+ test must lie below 1, got 0.5 \+ 0.5"),
    ],
)
def test_bad_shares_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(**arguments)
