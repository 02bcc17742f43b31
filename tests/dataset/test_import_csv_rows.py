"""latpred's own CSV of measured networks."""

from __future__ import annotations

import json

import pytest
from measured import tiny_space
from synthetic import DEVICE

from latpred.dataset.importers import read_csv
from latpred.errors import ConfigError, ParseError
from latpred.genprof import assemble
from latpred.genprof.folder import write_prof_dir

SPACE = tiny_space()
FIRST = {"depth": [1, 1, 1], "width": [[1], [3], [4]], "kernel": [[3], [3], [5]], "image_size": 32}
SECOND = FIRST | {"kernel": [[3], [5], [5]]}


def quoted(architecture):
    return '"' + json.dumps(architecture).replace('"', '""') + '"'


def read(path, text, prof=None, *, keep_refused=False):
    path.write_text(text)
    return read_csv(path, SPACE, DEVICE, prof, keep_refused=keep_refused)


def test_architectures_runs_and_blocks(tmp_path):
    text = "architecture,run,latency_ms,energy_mj,block_0_ms,block_1_ms,block_2_ms,block_3_ms,block_4_ms\r\n"
    text += (
        f"{quoted(FIRST)},a,10.5,2.5,1,2,,4,\r\n\r\n{quoted(SECOND)},a,20.5,,,,,,\r\n{quoted(FIRST)},b,11.5,,,,,,\r\n"
    )
    found = read(tmp_path / "my phone.csv", text)
    assert [network.architecture for network in found.networks] == [FIRST, SECOND]
    first, second, again = found.devices[0].runs
    assert (first.network, first.latency_ms, first.energy_mj) == (0, 10.5, 2.5)
    assert first.block_latency_ms == (1.0, 2.0, None, 4.0)
    assert (second.network, second.latency_ms, second.energy_mj, second.block_latency_ms) == (1, 20.5, None, None)
    assert (again.network, again.latency_ms) == (0, 11.5)
    assert (found.devices[0].name, found.devices[0].device) == ("my-phone", DEVICE)


def test_network_ids_of_a_prof_dir(tmp_path):
    networks = assemble(SPACE).networks
    write_prof_dir(tmp_path / "prof", SPACE, networks, SPACE.all_primitives())
    known = networks[0].network_id
    found = read(tmp_path / "a.csv", f"network_id,latency_ms\n{known},1.5\n", tmp_path / "prof")
    assert (found.networks, found.devices[0].runs[0].latency_ms) == ([networks[0]], 1.5)
    with pytest.raises(ParseError, match=r"a.csv, line 2: expected a network of the PROF_DIR, found 'abc'"):
        read(tmp_path / "a.csv", "network_id,latency_ms\nabc,1.5\n", tmp_path / "prof")
    with pytest.raises(ParseError, match=r"a.csv, line 1: expected the networks behind the column network_id"):
        read(tmp_path / "a.csv", f"network_id,latency_ms\n{known},1.5\n")
    with pytest.raises(ConfigError, match="expected a folder that `latpred genprof` wrote"):
        read(tmp_path / "a.csv", f"network_id,latency_ms\n{known},1.5\n", tmp_path / "no")


ROW = quoted(FIRST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency_ms\n1\n", "line 1: expected the columns architecture or network_id, latency_ms"),
        ("architecture\n1\n", "line 1: expected the columns architecture or network_id, latency_ms"),
        ("architecture,latency_us\n", "each once, found 'architecture,latency_us'"),
        ("architecture,latency_ms,latency_ms\n", "each once, found"),
        ("architecture,latency_ms,block_1_ms\n", "each once, found"),
        (f"architecture,latency_ms\n{ROW},12%\n", "line 2: expected latency_ms to be a number >= 0, found '12%'"),
        (f'architecture,latency_ms\n{ROW},"1,5"\n', "line 2: expected latency_ms to be a number >= 0, found '1,5'. Run "
         "the tool with LC_ALL=C"),
        (f"architecture,latency_ms\n{ROW},1,5\n", "line 2: expected 2 cells (architecture, latency_ms), found 3"),
        (f"architecture,latency_ms\n{ROW},0\n", "line 2: expected latency_ms > 0, found 0"),
        (f"architecture,latency_ms\n{ROW},-1\n", "found '-1'"),
        (f"architecture,latency_ms\n{ROW},\n", "line 2: expected a latency, energy or memory, found none"),
        (f"architecture,latency_ms\n{ROW},1\n{ROW},2\n", "line 3: expected one row for each run of a network, found it "
         "again. Tell the runs apart in a column 'run'"),
        ("architecture,latency_ms\nnet1,1\n", "line 2: expected architecture to be JSON, found 'net1'"),
        ('architecture,latency_ms\n"{}",1\n', "line 2: space mnasnet_ofa: expected an architecture with the keys"),
        ('architecture,latency_ms\n"{,1\n', "expected CSV, found unexpected end of data"),
        (f"architecture,latency_ms,block_0_ms,block_1_ms,block_2_ms,block_3_ms,block_4_ms\n{ROW},9,1,2,3,4,5\n",
         "line 2: expected values of 4 blocks, found one behind them"),
        (f"architecture,latency_ms,block_0_ms\n{ROW},9,x\n", "expected block_0_ms to be a number >= 0, found 'x'"),
        ("", "expected a tool's file, found an empty one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text, message, tmp_path):
    with pytest.raises(ParseError) as error:
        read(tmp_path / "a.csv", text)
    assert message in str(error.value)
    assert str(tmp_path / "a.csv") in str(error.value)


def test_what_is_no_measurement_can_be_left_out(tmp_path):
    text = f"architecture,latency_ms\n{ROW},0\n{quoted(SECOND)},2\n"
    (device,) = read(tmp_path / "a.csv", text, keep_refused=True).devices
    assert [run.latency_ms for run in device.runs] == [2.0]
    assert "line 2: expected latency_ms > 0, found 0" in device.refused[0]
