"""The run: what a row of a dataset may hold."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from synthetic import START, make_network, make_run

from latpred.errors import RunError
from latpred.run import Run

NAN, INF = float("nan"), float("inf")
RUN = make_run(make_network([0, 5]), sequence=3)
NAME = f"^run 3 of session s0 \\(network {RUN.network_id}\\): "


def test_a_good_run_passes_with_its_key():
    RUN.check()
    assert RUN.key == ("s0", 3)


@pytest.mark.parametrize(
    "fields_",
    [
        {"block_latency_ms": (0.1, None), "cpu_time_ms": 0.0, "overhead_ms": 0.0, "involuntary_switches": 0},
        {"block_latency_ms": None, "block_method": None, "cpu_time_ms": None, "involuntary_switches": None},
        {"overall_latency_ms": None, "block_latency_ms": None, "overall_memory_mb": 3.5},
        {"overall_energy_mj": 2.0, "block_energy_mj": (1.0, 1.0)},
        {"status": "failed", "reason": "out of memory", "overall_latency_ms": None, "block_latency_ms": None},
    ],
)
def test_what_was_not_measured_may_be_missing(fields_):
    replace(RUN, **fields_).check()


@pytest.mark.parametrize("value", [NAN, -1.0, 0.0, INF])
@pytest.mark.parametrize("name", ["overall_latency_ms", "overall_energy_mj", "overall_memory_mb"])
def test_an_overall_value_that_nothing_measures_is_refused(name, value):
    with pytest.raises(RunError, match=f"{NAME}expected {name} to be a finite number > 0, found {value}. Measure it"):
        replace(RUN, **{name: value}).check()


@pytest.mark.parametrize("value", [NAN, -1.0, 0.0, INF])
@pytest.mark.parametrize("name", ["block_latency_ms", "block_energy_mj"])
def test_a_block_value_that_nothing_measures_is_refused(name, value):
    with pytest.raises(RunError, match=rf"{NAME}expected {name}\[1\] to be a finite number > 0, found {value}"):
        replace(RUN, **{name: (1.0, value)}).check()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"round": -1}, "expected sequence and round >= 0, found 3 and -1"),
        (
            {"role": ("primitive",)},
            "expected as many roles as primitives, at least one, found 2 primitives and 1 roles",
        ),
        ({"primitives": (), "role": ()}, "expected as many roles .* at least one, found 0 primitives and 0 roles"),
        ({"role": ("primitive", "blue")}, "expected roles of primitive or glue, found 'blue'"),
        ({"started_at": START.replace(tzinfo=None)}, "expected started_at with its time zone, found 2026-01-01"),
        ({"block_latency_ms": (1.0,)}, "expected 2 block_latency_ms, found 1"),
        ({"block_method": ("timestamp",) * 3}, "expected 2 block_method, found 3"),
        ({"block_energy_mj": ()}, "expected 2 block_energy_mj, found 0"),
        ({"status": "fine"}, "expected status to be ok or failed, found 'fine'"),
        ({"status": "failed"}, "expected a reason for a failed run, found none. Give one"),
        ({"overall_latency_ms": None}, "expected an overall latency, energy or memory, found none. Store it as failed"),
        ({"overhead_ms": -0.1}, "expected overhead_ms to be a finite number >= 0, found -0.1"),
        ({"cpu_time_ms": NAN}, "expected cpu_time_ms to be a finite number >= 0, found nan"),
        ({"involuntary_switches": -1}, "expected involuntary_switches to be a finite number >= 0, found -1"),
    ],
)
def test_a_run_that_contradicts_itself_is_refused(changed, message):
    with pytest.raises(RunError, match=NAME + message):
        replace(RUN, **changed).check()


def test_a_negative_sequence_is_refused():
    with pytest.raises(RunError, match=r"run -1 of session s0 .*: expected sequence and round >= 0, found -1 and 0"):
        replace(RUN, sequence=-1).check()


def test_a_row_holds_plain_values_and_gives_the_run_back():
    row = RUN.to_row()
    assert list(row) == [field.name for field in fields(Run)]
    assert row["primitives"][0] == {
        "prim_type": "conv_bn_act",
        "spatial_size": 8,
        "C": 4,
        "C_out": 4,
        "stride": 1,
        "kernel_size": 1,
        "kwargs": '{"activation":"relu"}',
    }
    assert row["role"] == ["primitive", "primitive"]
    assert row["block_latency_ms"] == pytest.approx([0.084, 0.188])  # 0.01 * 8 + 0.001 * 4 * 1, 0.08 + 0.001 * 12 * 9
    before = {name: list(value) if isinstance(value, list) else value for name, value in row.items()}
    assert Run.from_row(row) == RUN
    assert row == before
