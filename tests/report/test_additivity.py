"""The additivity report, on values that were added up by hand."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from measured import append_runs
from synthetic import PRIMITIVES, START, make_dataset, make_network, make_networks, make_run, make_runs

from latpred.dataset import Dataset, Estimation
from latpred.dataset.schema import to_batch
from latpred.dataset.table import RunTable
from latpred.errors import DatasetError, UsageError
from latpred.report.additivity import additivity, coverage
from latpred.report.additivity_figure import additivity_figure, write_figure
from latpred.report.additivity_noise import network_noise, session_noise, sessions_apart
from latpred.report.additivity_sums import leave_one_out, sum_errors
from latpred.report.additivity_tables import additivity_notes, coverage_notes, print_additivity, session_hints

NAN, INF = float("nan"), float("inf")
QUARTET = (  # ids, values of the blocks, overhead, whole, methods
    ((0, 1), (1.0, 2.0), 0.5, 4.0, ("timestamp", "timestamp")),
    ((0, 2), (2.0, 4.0), 1.0, 8.0, ("timestamp", "timestamp")),
    ((1, 2), (4.0, 7.0), 1.0, 12.0, ("profile_share", "profile_share")),
    ((0, 3), (3.0, 1.0), None, 5.0, ("isolated", "difference")),
)


def quartet_runs(rounds=4, factor=1.0, **fields):
    """Return runs of four networks without noise; what was measured is the same in each, times `factor`."""
    runs = []
    for sequence in range(4 * rounds):
        ids, blocks, overhead, whole, methods = QUARTET[sequence % 4]
        measured = {
            "overall_latency_ms": factor * whole,
            "block_latency_ms": tuple(factor * value for value in blocks),
            "block_method": methods,
            "overhead_ms": overhead if overhead is None else factor * overhead,
            "cpu_time_ms": factor * whole,
        }
        runs.append(make_run(make_network(ids), sequence=sequence, round=sequence // 4, **(measured | fields)))
    return runs


def network_ids(*places):
    return [make_network(QUARTET[place][0]).network_id for place in places]


def by_network(dataset, points):
    """Return the points in the order of the quartet."""
    order = {network.network_id: code for code, network in enumerate(dataset.read().networks)}
    return points.networks.loc[[order[i] for i in network_ids(0, 1, 2, 3)]].reset_index(drop=True)


@pytest.fixture
def quartet(tmp_path):
    return make_dataset(tmp_path / "quartet", quartet_runs())


def test_blocks_beside_the_whole_by_method(quartet):
    report, points = additivity(quartet, PRIMITIVES)
    difference, share, timestamp = report.whole_and_blocks
    # (1 + 2 + 0.5) / 4 = 0.875 and (2 + 4 + 1) / 8 = 0.875; overheads 0.125 both
    assert (timestamp.method, timestamp.networks, timestamp.overhead_median) == ("timestamp", 2, 0.125)
    assert (timestamp.ratio_5, timestamp.ratio_median, timestamp.ratio_95) == (0.875, 0.875, 0.875)
    assert (share.method, share.networks, share.ratio_median) == ("profile_share", 1, 1.0)
    assert share.overhead_median == pytest.approx(1 / 12)
    # Nobody measured what lies between the blocks: 4 / 5 without it.
    assert (difference.method, difference.networks) == ("difference + isolated", 1)
    assert (difference.ratio_median, difference.overhead_median) == (pytest.approx(0.8), None)
    assert by_network(quartet, points)["block_sum"].tolist() == pytest.approx([3.5, 7.0, 12.0, 4.0])
    assert by_network(quartet, points)["estimate"].tolist() == pytest.approx([4.0, 8.0, 12.0, 5.0])


def test_a_network_counts_with_the_median_of_its_runs(tmp_path):
    """Ratios of 10 networks: 1, 1.1 ... 1.9, of 3 runs with twice, once and half of it."""
    runs = []
    for sequence in range(30):
        network = make_network([0] * (1 + sequence % 10))
        factor = (2.0, 1.0, 0.5)[sequence // 10] * (1 + sequence % 10 / 10)
        blocks = (factor / len(network.primitives),) * len(network.primitives)
        measured = {"overall_latency_ms": 1.0, "cpu_time_ms": 1.0, "block_latency_ms": blocks, "overhead_ms": 0.0}
        methods = ("timestamp",) * len(blocks)
        runs.append(make_run(network, sequence=sequence, round=sequence // 10, block_method=methods, **measured))
    (found,) = additivity(make_dataset(tmp_path / "ten", runs), PRIMITIVES)[0].whole_and_blocks
    assert found.networks == 10
    # The twentieth of 9 gaps lies 0.45 gaps above the lowest.
    assert (found.ratio_5, found.ratio_median, found.ratio_95) == pytest.approx((1.045, 1.45, 1.855))


def test_each_network_from_the_others(quartet):
    report, points = additivity(quartet, PRIMITIVES)
    found = report.leave_one_out
    assert (found.uncovered_networks, found.uncovered_blocks) == (1, 1)  # primitive 3 is in one network only
    sums = by_network(quartet, points)
    # Primitive 0 is 1, 2 and 3; 1 is 2 and 4; 2 is 4 and 7: (2 + 3) / 2 + 4, (1 + 3) / 2 + 7, 2 + 4
    assert sums["as_stored"].tolist() == pytest.approx([6.5, 9.0, 6.0, NAN], nan_ok=True)
    # Errors 6.5 / 4 - 1 = 0.625, 9 / 8 - 1 = 0.125, 6 / 12 - 1 = -0.5
    stored = found.as_stored
    assert stored.networks == 3
    assert stored.signed_median == pytest.approx(0.125)
    assert stored.signed_90 == pytest.approx(0.125 + 0.8 * 0.5)
    assert stored.absolute_median == pytest.approx(0.5)
    assert stored.absolute_90 == pytest.approx(0.5 + 0.8 * 0.125)
    # Sums 6.5, 9, 6 on 4, 8, 12: (-4 * 6.5 + 4 * 6) / (16 + 16); ranks 2, 3, 1 on 1, 2, 3: 1 - 6 * 6 / 24
    assert stored.slope == pytest.approx(-2 / 32)
    assert stored.spearman == pytest.approx(-0.5)
    # Each network's blocks times whole / sum: 4/3, 8/6, 12/11, 5/4.
    scaled = [(8 / 3 + 15 / 4) / 2 + 48 / 11, (4 / 3 + 15 / 4) / 2 + 84 / 11, 8 / 3 + 16 / 3, NAN]
    assert sums["scaled"].tolist() == pytest.approx(scaled, nan_ok=True)
    assert found.scaled.signed_median == pytest.approx(scaled[1] / 8 - 1)


def test_no_network_predicts_itself_with_any_of_its_blocks():
    """Network 0 has primitive 0 twice, network 1 has it and two unmeasured blocks, network 2 has one of its own."""
    blocks = [(0, 0, 0, 0, 1.0), (0, 0, 1, 0, 3.0), (1, 1, 0, 0, 10.0), (2, 2, 0, 0, 4.0), (2, 2, 1, 2, 5.0)]
    blocks = pd.DataFrame(blocks, columns=["run", "network", "position", "primitive", "value"])
    places = pd.DataFrame([(0, 0), (0, 0), (1, 0), (2, 0), (1, 1), (1, 1), (2, 2)], columns=["network", "primitive"])
    estimates = pd.Series([4.0, 20.0, 9.0])
    found, sums = leave_one_out(blocks, places, estimates)
    # Twice the mean of 10 and 4. All blocks count alike, so 1, 3 and 4 are what network 1 would be predicted from.
    assert sums["as_stored"].tolist() == pytest.approx([14.0, NAN, NAN], nan_ok=True)
    assert (found.uncovered_networks, found.uncovered_blocks) == (2, 3)
    covered = leave_one_out(blocks, places[:4], estimates)[1]
    assert covered["as_stored"].tolist() == pytest.approx([14.0, 8 / 3, 14 / 3])
    assert found.as_stored.networks == 1
    assert (found.as_stored.slope, found.as_stored.spearman) == (None, None)  # of one network


def test_no_errors_without_networks():
    assert sum_errors(pd.Series([NAN, 2.0]), pd.Series([1.0, NAN])) is None
    flat = sum_errors(pd.Series([1.0, 3.0]), pd.Series([2.0, 2.0]))
    assert (flat.signed_median, flat.absolute_median, flat.slope, flat.spearman) == (0.0, 0.5, None, None)


def test_coverage_counts_networks_not_blocks():
    ids = {PRIMITIVES[i]: i for i in (0, 1, 5)}
    blocks = pd.DataFrame({"network": [0, 0, 0, 1, 2, 2], "primitive": [0, 0, 1, 0, 0, 5]})
    found = coverage(blocks, ids, [*PRIMITIVES[:5], PRIMITIVES[6]])  # 5 is glue: the space does not have it
    assert (found.measured, found.in_space, found.networks_min, found.networks_median) == (2, 6, 1, 2.0)
    assert found.unmeasured == tuple(str(PRIMITIVES[i]) for i in (2, 3, 4, 6))
    nothing = coverage(blocks.iloc[:0], {}, PRIMITIVES)
    assert (nothing.measured, nothing.in_space, nothing.networks_min, nothing.networks_median) == (0, 12, None, None)
    assert nothing.unmeasured == tuple(str(primitive) for primitive in PRIMITIVES[:10])


def test_coverage_is_told(quartet):
    report, _ = additivity(quartet, PRIMITIVES)
    assert coverage_notes(report)[:3] == [
        "primitives of the space: 4 of 12 measured, each in 1 network or more, 2 in the median",
        "8 are not, these:",
        f"  {PRIMITIVES[4]}",
    ]
    all_of_it, _ = additivity(quartet, PRIMITIVES[:3])
    assert coverage_notes(all_of_it) == [
        "primitives of the space: 3 of 3 measured, each in 2 networks or more, 2 in the median"
    ]


def network_rows(*rows):
    columns = ["network_id", "half_width", "runs", "outlying", "preempted", "quality"]
    return pd.DataFrame(rows, columns=columns)


def test_qualities_and_the_poorest():
    networks = network_rows(
        ("a", 0.01, 20, 9, 9, "good"),
        ("b", 0.03, 20, 4, 4, "fair"),
        ("c", 0.09, 20, 5, 4, "poor"),
        ("d", INF, 1, 0, 0, "poor"),
        ("e", 0.08, 4, 0, 1, "poor"),
        ("f", INF, 5, 2, 3, "poor"),
        ("g", 0.025, 20, 0, 0, "fair"),
    )
    found = network_noise(networks, pd.Series([0.01, NAN, 0.02, 0.06]))
    assert (found.good, found.fair, found.poor) == (1, 2, 4)
    assert (found.label_noise_median, found.label_noise_mean) == (0.02, pytest.approx(0.03))
    assert found.half_width_median == 0.08
    assert [(network.network_id, network.half_width, network.why) for network in found.poorest] == [
        ("d", None, ("few runs (1)",)),
        ("f", None, ("2 of 5 runs outlying", "3 of 5 runs preempted")),
        ("c", 0.09, ("5 of 20 runs outlying",)),
        ("e", 0.08, ("few runs (4)", "1 of 4 runs preempted")),
        ("b", 0.03, ("its runs scatter",)),
    ]
    poor = found.poorest[2]
    assert (poor.quality, poor.runs, poor.outlying_runs, poor.preempted_runs) == ("poor", 20, 5, 4)


def test_where_nothing_is_sure_nothing_is_told():
    found = network_noise(network_rows(("a", INF, 1, 0, 0, "poor")), pd.Series([NAN]))
    assert (found.half_width_median, found.label_noise_median, found.label_noise_mean) == (None, None, None)


def estimation_of(*sessions):
    """Return an estimation of sessions (id, noise_after, level, group), each of 4 runs: 0, 1, 4 and 9 s after START."""
    names = [session[0] for session in sessions]
    rows = pd.DataFrame(sessions, columns=["session_id", "noise_after", "level", "group"])
    rows = rows.assign(runs=4, preempted=0.25, noise_before=0.2, window=[3 if i else 0 for i in range(len(rows))])
    started = [START + timedelta(seconds=s) for s in (0, 1, 4, 9)]
    runs = pd.DataFrame({"session_id": np.repeat(names, 4), "started_at": started * len(names), "drift": 0.0})
    return Estimation(pd.DataFrame(), rows.assign(swing=0.5), runs)


def test_a_session_stands_out_by_noise_and_by_speed():
    found = session_noise(
        estimation_of(("a", 0.03, 0.0, 0), ("b", 0.07, 0.05, 0), ("c", 0.03, 0.20, 0), ("d", 0.04, 0.9, 3))
    )
    assert [session.stands_out for session in found] == [
        (),
        ("its noise is 7.0 %, the others' 3.0 %",),
        ("it was 17 % slower than the others",),  # 1.2 / 1.025
        (),  # no other session can be held against its level
    ]
    first, second = found[:2]
    assert (first.window_runs, first.window_s) == (0, None)
    assert (second.window_runs, second.window_s) == (3, 9.0)
    assert (second.runs, second.preempted, second.noise_before, second.swing) == (4, 0.25, 0.2, 0.5)
    assert (second.noise_after, second.level) == (0.07, 0.05)


def test_little_noise_and_a_session_alone_do_not_stand_out():
    assert [s.stands_out for s in session_noise(estimation_of(("a", 0.001, 0.0, 0), ("b", 0.02, 0.09, 0)))] == [(), ()]
    assert session_noise(estimation_of(("a", 0.5, 3.0, 0)))[0].stands_out == ()


@pytest.mark.parametrize(
    ("groups", "apart"),
    [
        ([0, 0, 0], ()),
        ([0], ()),
        ([0, 1, 1], (("a",),)),
        ([0, 1], (("a",), ("b",))),
        ([0, 1, 1, 0, 4, 0], (("b", "c"), ("e",))),
        ([], ()),
    ],
)
def test_sessions_that_share_no_network_with_the_others(groups, apart):
    sessions = pd.DataFrame({"session_id": list("abcdef")[: len(groups)], "group": groups})
    assert sessions_apart(sessions) == apart


@pytest.fixture(scope="module")
def trio(tmp_path_factory):
    """Three sessions of the same networks: a quiet one, one 30 % slower, one with strong noise; and one of others."""
    networks = make_networks(10, seed=1)
    quiet = make_runs(networks, 6, session_id="quiet", seed=1, noise=0.01)
    slow = [
        make_run(
            network,
            session_id="slow",
            sequence=run.sequence,
            round=run.round,
            overall_latency_ms=1.3 * run.overall_latency_ms,
            cpu_time_ms=1.3 * run.overall_latency_ms,
            block_latency_ms=tuple(1.3 * value for value in run.block_latency_ms),
            block_method=run.block_method,
        )
        for run, network in zip(make_runs(networks, 6, seed=2, noise=0.01), networks * 6, strict=True)
    ]
    noisy = make_runs(networks, 6, session_id="noisy", seed=3, noise=0.1)
    others = [network for network in make_networks(20, seed=9) if network not in networks][:4]
    dataset = make_dataset(tmp_path_factory.mktemp("trio") / "trio", [])
    for runs in (quiet, slow, noisy, make_runs(others, 4, session_id="stranger", seed=4, noise=0.01)):
        append_runs(dataset, runs)
    return dataset


def test_sessions_of_a_real_dataset(trio):
    report, points = additivity(trio, PRIMITIVES)
    assert [session.session_id for session in report.sessions] == ["noisy", "quiet", "slow", "stranger"]
    noisy, quiet, slow, stranger = report.sessions
    assert slow.level - quiet.level == pytest.approx(0.3, abs=0.06)
    assert noisy.noise_after == pytest.approx(0.1, rel=0.35)
    assert max(quiet.noise_after, slow.noise_after) < 0.02
    assert quiet.stands_out == stranger.stands_out == ()
    assert report.sessions_apart == (("stranger",),)
    hints = session_hints(report)
    assert len(hints) == 3
    assert hints[0].startswith("session noisy stands out: its noise is ")
    assert hints[0].endswith("; leave it out with --data.exclude_sessions '[noisy]'")
    assert hints[1].startswith("session slow stands out: it was ")
    assert hints[2] == (
        "session stranger shares no network with the others: how much slower one was than the other cannot be told"
    )
    assert len(points.runs) == report.runs == 3 * 60 + 16


def test_excluded_sessions_are_left_out_and_named(trio):
    report, _ = additivity(trio, PRIMITIVES, exclude_sessions=["stranger", "noisy", "slow"])
    assert [session.session_id for session in report.sessions] == ["quiet"]
    assert report.excluded_sessions == ("noisy", "slow", "stranger")
    assert (report.runs, session_hints(report)) == (60, [])


def test_drift_is_taken_out_of_the_blocks(tmp_path):
    """The second session was half as fast again: it changes nothing."""
    dataset = make_dataset(tmp_path / "data", quartet_runs())
    append_runs(dataset, quartet_runs(factor=1.5, session_id="s1"))
    report, points = additivity(dataset, PRIMITIVES)
    assert report.sessions[1].level == pytest.approx(0.5)
    assert points.networks["estimate"].max() == pytest.approx(12.0)
    sums = by_network(dataset, points)
    assert sums["as_stored"].tolist() == pytest.approx([6.5, 9.0, 6.0, NAN], nan_ok=True)
    assert sums["block_sum"].tolist() == pytest.approx([3.5, 7.0, 12.0, 4.0])


def test_runs_that_lack_a_block_are_in_no_sum_of_their_own(tmp_path):
    runs = quartet_runs(block_latency_ms=(1.0, None))
    report, points = additivity(make_dataset(tmp_path / "data", runs), PRIMITIVES)
    assert report.whole_and_blocks == ()
    assert points.networks["block_sum"].isna().all()
    # Only 0 and 1 have values, and 1 in (1, 2) alone: (0, 1) is covered, (0, 2) and (0, 3) lack one, (1, 2) both.
    assert (report.leave_one_out.uncovered_networks, report.leave_one_out.uncovered_blocks) == (3, 4)


def test_runs_without_a_method(tmp_path):
    report, _ = additivity(make_dataset(tmp_path / "data", quartet_runs(block_method=None)), PRIMITIVES)
    assert [row.method for row in report.whole_and_blocks] == ["unknown"]


def test_overheads_and_methods_are_those_of_the_runs_that_were_read(quartet):
    """A damaged dataset: some row that failed has the key of one that did not, and what nobody measured."""
    failed = make_run(status="failed", reason="no", overhead_ms=9.0, block_method=("hook", "hook"))
    RunTable(quartet.path / "runs").append([to_batch(failed)])
    (_, _, timestamp) = additivity(Dataset.open(quartet.path), PRIMITIVES)[0].whole_and_blocks
    assert (timestamp.networks, timestamp.ratio_5, timestamp.overhead_median) == (2, 0.875, 0.125)


def test_notes_say_what_was_done(quartet):
    notes = additivity_notes(additivity(quartet, PRIMITIVES)[0])
    assert notes == [
        "profile_share: the ratio is 1 by construction, the runtime's profile is scaled to the whole",
        "as stored: medians of a network's runs, the drift taken out; bursts make them add up to less",
        "scaled: each network's blocks add up to its own estimate, as in the block table of predictors",
        "the labels' own noise is 0.00 % in the median: no error below it can be told from none",
        "1 network left out: 1 of their blocks are in no other network",
    ]


def test_vendor_logs_without_blocks(tmp_path, capsys):
    """One run of each network, without blocks, CPU time or rounds."""
    lacking = {"block_latency_ms": None, "block_method": None, "overhead_ms": None, "cpu_time_ms": None}
    runs = quartet_runs(1, involuntary_switches=None)
    runs = [make_run(make_network(QUARTET[i][0]), sequence=i, **lacking) for i in range(len(runs))]
    report, points = additivity(make_dataset(tmp_path / "data", runs), PRIMITIVES)
    assert (report.whole_and_blocks, report.leave_one_out) == ((), None)
    assert (report.noise.poor, report.noise.half_width_median, report.noise.label_noise_median) == (4, None, None)
    assert (report.coverage.measured, report.coverage.in_space) == (0, 12)
    message = "no run has values of latency_ms for its blocks: whether they add up cannot be told"
    assert additivity_notes(report) == [message]
    print_additivity(report)
    out = capsys.readouterr().out
    assert message in out
    assert "unknown in the median" in out
    texts = [text.get_text() for axes in additivity_figure(report, points).axes for text in axes.texts]
    assert texts == [
        "no run has the values of all of its blocks",
        "no network consists of blocks that other networks have values of",
        "no network has an interval: one run alone tells none",
    ]


def test_energy_has_blocks_and_no_overhead(tmp_path):
    runs = quartet_runs(overall_energy_mj=10.0, block_energy_mj=(4.0, 5.0))
    report, points = additivity(make_dataset(tmp_path / "data", runs), PRIMITIVES, "energy_mj")
    assert {row.ratio_median for row in report.whole_and_blocks} == {0.9}  # without the overhead, which is in ms
    assert {row.overhead_median for row in report.whole_and_blocks} == {None}
    assert (report.metric, points.unit) == ("energy_mj", "mJ")


def test_energy_without_blocks(tmp_path):
    report, _ = additivity(
        make_dataset(tmp_path / "data", quartet_runs(overall_energy_mj=10.0)), PRIMITIVES, "energy_mj"
    )
    assert report.leave_one_out is None
    assert additivity_notes(report) == [
        "no run has values of energy_mj for its blocks: whether they add up cannot be told"
    ]


def test_memory_is_no_sum(tmp_path, capsys):
    dataset = make_dataset(tmp_path / "data", quartet_runs(overall_memory_mb=2.0))
    report, _ = additivity(dataset, PRIMITIVES, "memory_mb")
    assert report.noise.good == 4
    print_additivity(report)
    out = capsys.readouterr().out
    assert "memory_mb is a peak and no sum of blocks: there is nothing to add up" in out
    assert "primitives of the space" not in out


def test_assembled_networks_are_predicted_too(tmp_path):
    networks = [make_network(ids, assembled=True) for ids in ([0, 1], [1, 0], [0, 0, 1])]
    report, _ = additivity(make_dataset(tmp_path / "data", make_runs(networks, 4, noise=0.0)), PRIMITIVES)
    assert (report.networks_sampled, report.networks_assembled) == (0, 3)
    assert report.leave_one_out.as_stored.networks == 3
    assert report.leave_one_out.as_stored.absolute_90 == pytest.approx(0.0, abs=1e-9)
    assert report.leave_one_out.as_stored.slope == pytest.approx(1.0)


def test_networks_that_share_no_block(tmp_path, capsys):
    networks = [make_network([0]), make_network([1])]
    report, _ = additivity(make_dataset(tmp_path / "data", make_runs(networks, 4)), PRIMITIVES)
    assert (report.leave_one_out.as_stored, report.leave_one_out.scaled) == (None, None)
    assert additivity_notes(report) == [
        "no network consists of blocks that other networks have values of: no sum can be tried",
        "2 networks left out: 2 of their blocks are in no other network",
    ]
    print_additivity(report)
    assert "Spearman" not in capsys.readouterr().out


def test_nothing_to_report(tmp_path, quartet):
    with pytest.raises(
        DatasetError, match=r"quartet: expected ok runs with energy_mj, found those with latency_ms\. Ask"
    ):
        additivity(quartet, PRIMITIVES, "energy_mj")
    with pytest.raises(
        DatasetError, match=r"expected ok runs with latency_ms beside the excluded sessions, found none"
    ):
        additivity(quartet, PRIMITIVES, exclude_sessions=["s0"])
    with pytest.raises(UsageError, match=r"metric: expected one of latency_ms, .*, found 'power_w'"):
        additivity(quartet, PRIMITIVES, "power_w")
    with pytest.raises(UsageError, match=r"expected sessions of .*, found 's7'"):
        additivity(quartet, PRIMITIVES, exclude_sessions=["s7"])
    failed = [make_run(sequence=0, status="failed", reason="no", overall_latency_ms=None)]
    empty = make_dataset(tmp_path / "failed", failed)
    with pytest.raises(DatasetError, match=r"found no ok run\. Measure some with `latpred profile`"):
        additivity(empty, PRIMITIVES)


def test_the_figure_shows_the_points(trio):
    report, points = additivity(trio, PRIMITIVES)
    figure = additivity_figure(report, points)
    drift, sums, errors, intervals = figure.axes
    (slow,) = [line for line in drift.lines if line.get_label() == "slow"]
    of_session = points.runs[points.runs["session_id"] == "slow"]
    np.testing.assert_allclose(slow.get_ydata(), 100 * of_session["drift"])
    np.testing.assert_allclose(slow.get_xdata(), np.arange(60.0))  # make_run starts one every second
    assert len({line.get_color() for line in drift.lines[:4]}) == 4
    (networks,) = [c for c in sums.collections if isinstance(c, PathCollection)]
    np.testing.assert_allclose(networks.get_offsets(), points.networks[["estimate", "block_sum"]])
    stored = report.leave_one_out.as_stored.networks
    assert [sum(bar.get_height() for bar in bars) for bars in errors.containers] == [stored, stored]
    widths = np.asarray(intervals.lines[0].get_ydata())
    np.testing.assert_allclose(widths, 100 * np.sort(points.networks["half_width"]))
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "time since the session began, s",
        "estimate of the network, ms",
        "sum / estimate of the network - 1, %",
        "network, the surest first",
    ]
    assert drift.get_ylabel() == "slower than the quiet machine, %"
    assert sums.get_ylabel() == "sum of its blocks + overhead, ms"
    assert (
        figure.get_suptitle()
        == "latency_ms of synthetic on Test CPU, torch 2.13.0, float32, 1 thread, batch 1, nchw, version 4"
    )


def test_a_figure_overwrites_nothing(quartet, tmp_path):
    figure = additivity_figure(*additivity(quartet, PRIMITIVES))
    write_figure(figure, tmp_path / "new/report.png")
    content = (tmp_path / "new/report.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    with pytest.raises(FileExistsError):
        write_figure(figure, tmp_path / "new/report.png")
    assert (tmp_path / "new/report.png").read_bytes() == content
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.png"]
