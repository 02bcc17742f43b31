"""The network and its identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from latpred.errors import ConfigError, LatpredError
from latpred.network import Network
from latpred.primitive import Primitive

A = Primitive("a", 8, 3, 4, 2, 3)
B = Primitive("b", 4, 4, 4, kwargs='{"act":"relu"}')
NETWORK = Network("toy", (A, B), ("primitive", "primitive"), {"ids": [0, 1]}, (0, 1, -1))


def test_the_id_is_the_hash_that_the_design_states():
    text = (
        '{"encoding":[0,1,-1],"primitives":['
        '{"C":3,"C_out":4,"kernel_size":3,"prim_type":"a","spatial_size":8,"stride":2},'
        '{"C":4,"C_out":4,"act":"relu","kernel_size":1,"prim_type":"b","spatial_size":4,"stride":1}],"space":"toy"}'
    )
    assert NETWORK.network_id == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("changed", [{"space": "other"}, {"encoding": (1, 0, -1)}, {"primitives": (B, A)}])
def test_networks_that_share_the_rest_have_ids_of_their_own(changed):
    assert replace(NETWORK, **changed).network_id != NETWORK.network_id


def test_an_assembled_network_has_no_architecture():
    assembled = Network("toy", (A, B), ("glue", "primitive"))
    assert assembled.assembled
    assert not NETWORK.assembled
    assert assembled.network_id != NETWORK.network_id


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"primitives": (), "roles": ()}, "a network needs at least one primitive"),
        ({"roles": ("primitive",)}, "expected a role for each of 2 primitives, got 1"),
        ({"roles": ("primitive", "blue")}, "expected roles of primitive or glue, got 'blue'"),
        ({"encoding": None}, "both an architecture and its encoding, or neither"),
        ({"architecture": None}, "both an architecture and its encoding, or neither"),
    ],
)
def test_networks_that_cannot_be_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        replace(NETWORK, **changed)


def test_the_json_form_reads_back_as_the_same_network():
    for network in (NETWORK, Network("toy", (A, B), ("glue", "primitive"))):
        values = json.loads(json.dumps(network.to_dict()))
        assert Network.from_dict(values) == network
        assert Network.from_dict(values).network_id == network.network_id
    assert NETWORK.to_dict() == {
        "space": "toy",
        "primitives": [A.to_dict(), B.to_dict()],
        "roles": ["primitive", "primitive"],
        "architecture": {"ids": [0, 1]},
        "encoding": [0, 1, -1],
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"role": []}, r"s\.json: unknown key 'role', expected one of .*'roles'"),
        ({"roles": ["blue", "glue"]}, r"s\.json: expected a network, found: expected roles of primitive or glue, got"),
        ({"roles": None}, r"s\.json: expected a network, found: 'NoneType' object is not iterable"),
        ({"primitives": []}, r"s\.json: expected a network, found: a network needs at least one primitive"),
        ({"primitives": 3}, r"s\.json: expected a network, found: 'int' object is not iterable"),
        ({"primitives": [{"prim_type": "a"}]}, r"s\.json: expected a primitive with spatial_size, C, C_out, found"),
        ({"primitives": ["a", "b"]}, r"s\.json: expected a network, found: dictionary update sequence"),
        ({"encoding": 5}, r"s\.json: expected a network, found: 'int' object is not iterable"),
        ({"encoding": None}, r"both an architecture and its encoding, or neither"),
    ],
)
def test_a_malformed_json_form_is_refused_in_one_line(changed, message):
    with pytest.raises(LatpredError, match=message) as refused:
        Network.from_dict(NETWORK.to_dict() | changed, "s.json")
    assert "\n" not in str(refused.value)


def test_a_missing_key_is_named():
    values = NETWORK.to_dict()
    del values["roles"]
    with pytest.raises(ConfigError, match=r"s\.json: expected the key 'roles'"):
        Network.from_dict(values, "s.json")
