"""Networks with their labels, each in its part of a split."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from synthetic import make_dataset, make_network, make_networks, make_record, make_run, make_runs

from latpred.dataset import Split, estimates, label
from latpred.errors import DatasetError, SplitError

NETWORKS = make_networks(30)
GLUED = make_network([1, 2], assembled=True)
SPLIT = Split(seed=0, val=0.3, test=0.2)


def labelled(dataset, metric="latency_ms", split=SPLIT, exclude_sessions=(), drop_without_runs=False):
    return label(dataset, metric, split, exclude_sessions=exclude_sessions, drop_without_runs=drop_without_runs)


def test_each_sampled_network_is_in_its_part(tmp_path):
    dataset = make_dataset(tmp_path / "d", make_runs([*NETWORKS, GLUED], 2))
    found = labelled(dataset)
    for part in ("train", "val", "test"):
        expected = sorted(n.network_id for n in NETWORKS if SPLIT.part_of(n.network_id) == part)
        assert found.network_ids(part) == expected
        assert len(expected) > 2
    assert [found.measurements.networks[code].network_id for code in found.assembled] == [GLUED.network_id]
    pd.testing.assert_series_equal(found.estimates, estimates(found.measurements)["estimate"])


@pytest.mark.parametrize(
    ("part", "split", "message"),
    [
        (
            "val",
            Split(seed=0, val=0.0, test=0.2),
            r"expected at least 2 networks in the split 'val', found 0 of 30 architectures \(val 0\.0, test 0\.2\)\. "
            r"Profile more sampled networks, or change --data\.val",
        ),
        (
            "train",
            Split(seed=0, val=0.499, test=0.5),
            r"at least 1 networks in the split 'train', .* change --data\.val",
        ),
        ("test", Split(seed=0, val=0.2, test=0.0), r"at least 2 networks in the split 'test', .* change --data\.test"),
    ],
)
def test_a_part_that_is_too_small_is_refused(tmp_path, part, split, message):
    dataset = make_dataset(tmp_path / "d", make_runs(NETWORKS, 1))
    with pytest.raises(SplitError, match=rf"^{dataset.path}: .*{message}"):
        labelled(dataset, split=split).check_size(part, split, dataset.path)
    labelled(dataset).check_size(part, SPLIT, dataset.path)


def test_a_metric_that_no_run_has_is_refused_with_those_that_are_there(tmp_path):
    dataset = make_dataset(tmp_path / "d", [make_run(NETWORKS[0], overall_memory_mb=4.0)])
    message = rf"^{dataset.path}: expected runs with energy_mj, found only latency_ms and memory_mb\. Measure it, or"
    with pytest.raises(DatasetError, match=message):
        labelled(dataset, "energy_mj")
    with pytest.raises(DatasetError, match=r"expected runs with latency_ms, found no successful run at all\."):
        labelled(make_dataset(tmp_path / "empty", []))


def test_networks_of_sessions_that_are_left_out_are_not_missed(tmp_path):
    dataset = make_dataset(tmp_path / "d", make_runs(NETWORKS[:4], 1))
    nothing = {"overall_latency_ms": None, "block_latency_ms": None, "block_method": None}
    failed = make_run(NETWORKS[5], session_id="s1", status="failed", reason="out of memory", **nothing)
    with dataset.session(make_record("s1")) as session:
        session.append(failed)
        session.append(replace(make_run(NETWORKS[4], sequence=1), session_id="s1"))
    with pytest.raises(DatasetError, match=rf"found none of 1 of 6, the first is {NETWORKS[5].network_id}\."):
        labelled(dataset)
    assert len(labelled(dataset, drop_without_runs=True).measurements.networks) == 5
    assert len(labelled(dataset, exclude_sessions=["s1"]).measurements.networks) == 4
