"""The device: everything that a latency belongs to."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import pytest

from latpred.device import Device
from latpred.errors import ConfigError

VALUES = {
    "hardware": "AMD EPYC (7B13)",
    "runtime": "torch",
    "runtime_version": "2.13.0",
    "precision": "float32",
    "threads": 1,
    "batch": 4,
    "layout": "nchw",
}
DEVICE = Device(**VALUES)


def test_the_json_form_goes_there_and_back():
    before = copy.deepcopy(VALUES)
    assert Device.from_dict(VALUES) == DEVICE
    assert DEVICE.to_dict() == VALUES == before


def test_the_key_is_fit_for_folders():
    assert DEVICE.key == "amd-epyc-7b13_torch-2.13.0_float32_t1_b4_nchw"


def test_the_sentence_counts_threads():
    assert str(DEVICE) == "AMD EPYC (7B13), torch 2.13.0, float32, 1 thread, batch 4, nchw"
    assert "2 threads" in str(replace(DEVICE, threads=2))


@pytest.mark.parametrize("field", [field.name for field in fields(Device)])
def test_every_part_makes_another_device(field):
    value = VALUES[field]
    other = replace(DEVICE, **{field: value + 1 if isinstance(value, int) else f"{value}x"})
    assert other != DEVICE
    assert other.key != DEVICE.key
    assert str(other) != str(DEVICE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threads": 0}, "device.threads: expected an integer >= 1, found 0"),
        ({"batch": True}, "device.batch: expected an integer >= 1, found True"),
        ({"batch": 1.0}, "device.batch: expected an integer >= 1, found 1.0"),
        ({"hardware": " "}, "device.hardware: expected a name, found ' '"),
        ({"runtime_version": 2}, "device.runtime_version: expected a name, found 2"),
        ({"layout": None}, "device.layout: expected a name, found None"),
        ({"thread": 2}, "card: unknown key 'thread', expected one of .*. Perhaps 'threads' was meant"),
    ],
)
def test_what_is_no_device_is_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        Device.from_dict(VALUES | changed, "card")


def test_a_missing_part_is_named():
    with pytest.raises(ConfigError, match="card: expected the key 'layout', found batch, hardware, precision"):
        Device.from_dict({name: value for name, value in VALUES.items() if name != "layout"}, "card")
