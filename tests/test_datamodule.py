"""The data module: from a dataset to batches and a fitted block table."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from measured import append_runs, block_latency_ms, make_measured, measured_runs, network_latency_ms, tiny_space
from synthetic import DEVICE

from latpred.datamodule import LatencyDataModule
from latpred.dataset import Dataset, Split, estimates
from latpred.errors import ConfigError, DatasetError, SplitError, UsageError
from latpred.genprof import assemble, sampled
from latpred.network import Network
from latpred.preprocessing import Batch, BlockSum, Flatten
from latpred.preprocessing.step import RowStep
from latpred.primitive import Primitive

CHAIN = ["block_sum", "remove_anomaly", "flatten"]
SPACE = tiny_space()
NETWORKS = sampled(SPACE, 24, seed=0)
STEM, GLUE = NETWORKS[0].primitives[0], Primitive("conv_1x1", 16, 8, 12)
GLUED = Network(SPACE.name, (STEM, GLUE), ("primitive", "glue"))
LATENCIES = {network.network_id: network_latency_ms(network) for network in NETWORKS}


def make_data(path, chain=CHAIN, **options):
    return LatencyDataModule(str(path), chain, **{"val": 0.25, "test": 0.25} | options)


def make_dataset(path, runs):
    dataset = Dataset.create(path, SPACE.card(), DEVICE)
    append_runs(dataset, runs)
    return dataset.path


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """A dataset without noise: 24 networks, the assembled ones, and one with glue that the space does not have."""
    dataset = make_measured(tmp_path_factory.mktemp("data") / "exact", SPACE, networks=24, noise=0)
    append_runs(dataset, measured_runs([GLUED], 1, session_id="s1", noise=0))
    return dataset.path


@pytest.fixture
def data(exact):
    module = make_data(exact)
    module.setup("fit")
    module.fit_chain()
    module.setup("test")
    return module


def parts(module):
    return {name: module.network_ids(name) for name in ("train", "val", "test")}


def test_networks_are_split_by_their_ids_and_assembled_ones_are_in_no_part(data):
    split = Split(seed=0, val=0.25, test=0.25)
    expected = {name: sorted(i for i in LATENCIES if split.part_of(i) == name) for name in ("train", "val", "test")}
    assert parts(data) == expected
    assert min(map(len, expected.values())) >= 3
    assert len(data.measurements.networks) > len(NETWORKS)


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_batch_has_the_encoding_and_the_latency_of_each_network(data, name):
    batch = data.batch(name)
    by_id = {network.network_id: network for network in NETWORKS}
    assert batch.ids.tolist() == [list(by_id[i].encoding) for i in data.network_ids(name)]
    assert batch.ids.dtype == torch.int64
    np.testing.assert_allclose(batch.target, [LATENCIES[i] for i in data.network_ids(name)], rtol=1e-6)


def test_the_table_has_the_latency_of_every_primitive_and_of_the_glue(data):
    table, vocabulary = data.fit_chain(), data.vocabulary
    assert vocabulary.primitives == SPACE.vocabulary().primitives
    assert vocabulary.extra == (GLUE,)
    assert table.measured.all()
    np.testing.assert_allclose(table.value[1:], [block_latency_ms(p) for p in vocabulary.by_id], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 5, 11, 12, 13, 100])
def test_batches_hold_every_network_once(exact, size):
    module = make_data(exact, batch_size=size)
    module.setup("fit")
    module.fit_chain()
    for loader, name in ((module.train_dataloader(), "train"), (module.val_dataloader(), "val")):
        batches = [Batch(*batch) for batch in loader]
        assert [len(batch.ids) for batch in batches[:-1]] == [size] * (len(batches) - 1)
        rows = [
            (*ids, t) for batch in batches for ids, t in zip(batch.ids.tolist(), batch.target.tolist(), strict=True)
        ]
        whole = module.batch(name)
        expected = [(*ids, t) for ids, t in zip(whole.ids.tolist(), whole.target.tolist(), strict=True)]
        assert sorted(rows) == sorted(expected)
        assert name == "train" or rows == expected


def test_training_batches_come_in_the_order_that_the_seed_gives(data):
    def order(seed):
        torch.manual_seed(seed)
        return torch.cat([Batch(*batch).target for batch in data.train_dataloader()]).tolist()

    assert order(0) == order(0) != order(1)


def test_networks_that_are_added_move_none(tmp_path):
    path = make_dataset(tmp_path / "d", measured_runs(NETWORKS[:12], 1))
    module = make_data(path)
    module.setup("fit")
    before = parts(module)
    append_runs(Dataset.open(path), measured_runs(NETWORKS, 1, session_id="s1"))
    module = make_data(path)
    module.setup("fit")
    after = parts(module)
    assert sum(map(len, before.values())) == 12
    assert sum(map(len, after.values())) == 24
    assert all(set(before[name]) <= set(after[name]) for name in before)


def test_an_older_version_has_what_it_had(tmp_path):
    path = make_dataset(tmp_path / "d", measured_runs(NETWORKS[:12], 1))
    append_runs(Dataset.open(path), measured_runs(NETWORKS, 1, session_id="s1"))
    for version, count in ((1, 12), (None, 24)):
        module = make_data(path, version=version)
        module.setup("fit")
        assert len(module.measurements.networks) == count
        assert module.version_read == (version or 2)


def test_seeds_give_different_splits(exact):
    found = []
    for seed in (0, 1):
        module = make_data(exact, split_seed=seed)
        module.setup("fit")
        found.append(parts(module))
    assert found[0] != found[1]


def rounds_of(overall, first_block, *, session_id="s0", networks=NETWORKS):
    """Return runs in which round r of network i takes what the factors say, those of round r + i, so that no drift is.

    Args:
        overall: Factor of the whole network, for each round.
        first_block: Factor of its first block, beyond that of the whole.
        session_id: Of all runs.
        networks: What is run.
    """
    runs = []
    for round_ in range(len(overall)):
        for i, run in enumerate(measured_runs(networks, 1, session_id=session_id, noise=0)):
            whole, first = (factors[(round_ + i) % len(factors)] for factors in (overall, first_block))
            value = whole * run.overall_latency_ms
            blocks = [whole * block for block in run.block_latency_ms]
            blocks[0] *= first
            fields = {"overall_latency_ms": value, "cpu_time_ms": value, "block_latency_ms": tuple(blocks)}
            runs.append(replace(run, sequence=len(runs), round=round_, **fields))
    return runs


def test_labels_are_of_all_runs_not_only_of_the_clean_ones(tmp_path):
    """Were training labels of clean runs, predictions would lie above or below the labels they are scored on."""
    path = make_dataset(tmp_path / "d", rounds_of([1.0, 1.1, 1.05, 1.3, 1.1], [1.0]))
    module = make_data(path)
    module.setup("fit")
    module.fit_chain()
    expected = estimates(module.measurements).set_index("network_id")["estimate"]
    for name in ("train", "val"):
        labels = module.batch(name).target
        np.testing.assert_allclose(labels, expected[module.network_ids(name)], rtol=1e-6)
        ratio = labels.numpy() / [LATENCIES[i] for i in module.network_ids(name)]
        assert (ratio > 1.08).all()  # the clean ones, without 1.3, lie around 1.066
    rows = module.chain.clean(module._rows(module.labelled.codes["train"]))
    assert len(rows.runs) == 4 * len(module.network_ids("train"))


def test_the_table_is_of_clean_runs_only(tmp_path):
    """In two of five runs the first block takes three times as long: medians over all would say 2 % more."""
    runs = rounds_of([1.0] * 5, [1.0, 3.0, 1.02, 3.0, 1.0])
    module = make_data(make_dataset(tmp_path / "d", runs))
    module.setup("fit")
    table = module.fit_chain()
    known = table.measured[1:].tolist()
    expected = [block_latency_ms(p) for p, k in zip(module.vocabulary.by_id, known, strict=True) if k]
    np.testing.assert_allclose(table.value[1:][table.measured[1:]], expected, rtol=1e-5)


@pytest.mark.parametrize("chain", [CHAIN, ["remove_anomaly", "flatten"]])
def test_blocks_are_as_on_the_quiet_machine(tmp_path, chain):
    """A second session was 20 % slower: its runs are no anomalies, and the table is of what both say."""
    path = make_dataset(tmp_path / "d", rounds_of([1.0] * 2, [1.0]))
    append_runs(Dataset.open(path), rounds_of([1.2] * 3, [1.0], session_id="s1"))
    module = make_data(path, chain)
    module.setup("fit")
    table = module.fit_chain()
    for name in ("train", "val"):
        expected = [LATENCIES[i] for i in module.network_ids(name)]
        np.testing.assert_allclose(module.batch(name).target, expected, rtol=1e-5)
    rows = module.chain.clean(module._rows(module.labelled.codes["train"]))
    assert len(rows.runs) == 5 * len(module.network_ids("train"))
    expected = {i: block_latency_ms(p) for i, p in enumerate(module.vocabulary.by_id)}
    np.testing.assert_allclose(rows.blocks["value"], rows.blocks["primitive"].map(expected), rtol=1e-5)
    found = module.block_rows("val")
    np.testing.assert_allclose(found["value"], found["primitive"].map(expected), rtol=1e-5)
    values = [expected[i] for i in table.measured[1:].nonzero().squeeze(1).tolist()]
    np.testing.assert_allclose(table.value[1:][table.measured[1:]], values, rtol=1e-5)


def test_blocks_carry_the_overhead_of_their_network(tmp_path):
    """Whole networks take 10 % more than their blocks: the table's sums are whole networks."""
    runs = [
        replace(run, overall_latency_ms=1.1 * run.overall_latency_ms, cpu_time_ms=1.1 * run.overall_latency_ms)
        for run in rounds_of([1.0] * 2, [1.0])
    ]
    module = make_data(make_dataset(tmp_path / "d", runs))
    module.setup("fit")
    table, batch = module.fit_chain(), module.batch("train")
    torch.testing.assert_close(table(batch.ids).sum(1), batch.target, rtol=1e-5, atol=0)


def test_sessions_can_be_left_out(tmp_path):
    """The second one was disturbed, and has a network that the first does not have."""
    path = make_dataset(tmp_path / "d", measured_runs(NETWORKS[:-1], 2, noise=0))
    append_runs(Dataset.open(path), measured_runs(NETWORKS, 9, session_id="s1", noise=0.5))
    module = make_data(path, exclude_sessions=["s1"])
    module.setup("fit")
    module.fit_chain()
    assert sorted(i for ids in parts(module).values() for i in ids) == sorted(
        LATENCIES.keys() - {NETWORKS[-1].network_id}
    )
    for name in ("train", "val"):
        expected = [LATENCIES[i] for i in module.network_ids(name)]
        np.testing.assert_allclose(module.batch(name).target, expected, rtol=1e-6)


def test_a_session_that_is_not_there_cannot_be_left_out(exact):
    with pytest.raises(UsageError, match=rf"expected sessions of {exact}, found 's2'\. Take some of s0, s1\."):
        make_data(exact, exclude_sessions=["s0", "s2"]).setup("fit")


def test_nothing_is_left_without_all_sessions(exact):
    message = rf"^{exact}: expected runs with latency_ms, found no successful run at all\. .*--data\.exclude_sessions"
    with pytest.raises(DatasetError, match=message):
        make_data(exact, exclude_sessions=["s0", "s1"]).setup("fit")


def test_held_out_networks_teach_the_table_nothing(tmp_path):
    split = Split(seed=0, val=0.25, test=0.25)
    runs = measured_runs(NETWORKS, 1, noise=0)
    spoilt = [
        run
        if split.part_of(run.network_id) == "train"
        else replace(run, block_latency_ms=tuple(10 * value for value in run.block_latency_ms))
        for run in runs
    ]
    tables = []
    for name, kind in (("clean", runs), ("spoilt", spoilt)):
        module = make_data(make_dataset(tmp_path / name, kind))
        module.setup("fit")
        tables.append(module.fit_chain().value)
    torch.testing.assert_close(*tables, rtol=0, atol=0, equal_nan=True)


def test_what_no_training_network_has_is_unmeasured(tmp_path):
    module = make_data(make_dataset(tmp_path / "d", measured_runs(NETWORKS[:12], 1)))
    module.setup("fit")
    table = module.fit_chain()
    trained = {
        primitive
        for network in NETWORKS[:12]
        if network.network_id in module.network_ids("train")
        for primitive in network.primitives
    }
    assert table.measured[1:].tolist() == [primitive in trained for primitive in module.vocabulary.by_id]
    assert not table.measured.all()
    assert torch.equal(table.value.isnan(), ~table.measured)


def test_without_flatten_there_is_no_table(exact):
    module = make_data(exact, ["block_sum"])
    module.setup("fit")
    assert module.fit_chain().value.isnan().all()


def with_energy(path, *, blocks=True, networks=NETWORKS):
    """Make a dataset in which every run has three times as many mJ, and five times as many MB, as it has ms."""
    runs = [
        replace(
            run,
            overall_energy_mj=3 * run.overall_latency_ms,
            block_energy_mj=tuple(3 * value for value in run.block_latency_ms) if blocks else None,
            overall_memory_mb=5 * run.overall_latency_ms,
        )
        for run in measured_runs(networks, 1, noise=0)
    ]
    return make_dataset(path, runs)


def test_other_metrics_are_read_in_their_own_unit(tmp_path):
    path = with_energy(tmp_path / "d")
    for metric, factor, chain in (("energy_mj", 3, CHAIN), ("memory_mb", 5, ["remove_anomaly"])):
        module = make_data(path, chain, metric=metric)
        module.setup("fit")
        table = module.fit_chain()
        for name in ("train", "val"):
            expected = [factor * LATENCIES[i] for i in module.network_ids(name)]
            np.testing.assert_allclose(module.batch(name).target, expected, rtol=1e-6)
        expected = [factor * block_latency_ms(p) if chain == CHAIN else np.nan for p in module.vocabulary.by_id]
        np.testing.assert_allclose(
            table.value[1:][table.measured[1:]], np.array(expected)[table.measured[1:]], rtol=1e-6
        )
        assert table.measured.any() == (chain == CHAIN)


def failing(network, sequence):
    (run,) = measured_runs([network], 1)
    nothing = {"overall_latency_ms": None, "block_latency_ms": None, "block_method": None}
    return replace(run, sequence=sequence, status="failed", reason="out of memory", **nothing)


def test_a_network_whose_runs_all_failed_stops_or_is_dropped(tmp_path):
    runs = [*measured_runs(NETWORKS[:-1], 1), failing(NETWORKS[-1], 100), failing(NETWORKS[0], 101)]
    path = make_dataset(tmp_path / "d", runs)
    lost = NETWORKS[-1].network_id
    message = (
        rf"^{path}: expected a successful run with latency_ms of every network, found none of 1 of 24, the first is"
    )
    with pytest.raises(DatasetError, match=rf"{message} {lost}\. Measure again, .* --data\.without_runs drop"):
        make_data(path).setup("fit")
    module = make_data(path, without_runs="drop")
    module.setup("fit")
    assert sorted(i for ids in parts(module).values() for i in ids) == sorted(LATENCIES.keys() - {lost})


def test_a_metric_that_was_not_measured_is_refused(exact):
    message = rf"^{exact}: expected runs with energy_mj, found only latency_ms\. Measure it, or change --data\.metric"
    with pytest.raises(DatasetError, match=message):
        make_data(exact, metric="energy_mj").setup("fit")


@pytest.mark.parametrize("chain", [CHAIN, ["flatten", "padding"]])
def test_without_block_values_the_table_is_learned_from_whole_networks(capsys, tmp_path, chain):
    path = with_energy(tmp_path / "d", blocks=False)
    module = make_data(path, chain, metric="energy_mj")
    module.setup("fit")
    table = module.fit_chain()
    count, known = len(module.network_ids("train")), int(table.measured[1:].sum())
    (line,) = capsys.readouterr().out.splitlines()
    message = f"{path}: no block has a value of energy_mj; the table is learned: {known} primitives, from {count} whole"
    assert line.startswith(message)
    batch = module.batch("train")
    covered = table.measured[batch.ids + 1].all(1)
    assert covered.any()
    torch.testing.assert_close(table(batch.ids).sum(1)[covered], batch.target[covered], rtol=1e-3, atol=0)
    assert not covered.all()  # some primitives occur only together: what they cost together is in their estimates
    filled = torch.where(table.measured, table.value, table.estimate)
    torch.testing.assert_close(filled[batch.ids + 1].sum(1), batch.target, rtol=1e-3, atol=0)


def test_assembled_networks_teach_a_table_without_block_values(tmp_path):
    networks = [*sampled(SPACE, 60, seed=0), *assemble(SPACE).networks, GLUED]
    module = make_data(with_energy(tmp_path / "d", blocks=False, networks=networks), metric="energy_mj")
    module.setup("fit")
    table = module.fit_chain()
    assert table.measured.all()  # also the glue, which no training network has
    assert table.estimate.isnan().all()
    for name in ("train", "val"):
        batch = module.batch(name)
        torch.testing.assert_close(table(batch.ids).sum(1), batch.target, rtol=0.02, atol=0)


def test_held_out_networks_teach_a_learned_table_nothing(tmp_path):
    split = Split(seed=0, val=0.25, test=0.25)
    tables = []
    for factor in (1.0, 10.0):
        runs = [
            replace(
                run,
                block_latency_ms=None,
                overall_latency_ms=run.overall_latency_ms * (1 if split.part_of(run.network_id) == "train" else factor),
            )
            for run in measured_runs(NETWORKS, 1, noise=0)
        ]
        module = make_data(make_dataset(tmp_path / str(factor), runs))
        module.setup("fit")
        tables.append(module.fit_chain().value)
    torch.testing.assert_close(*tables, rtol=0, atol=0, equal_nan=True)


def test_values_of_blocks_are_taken_where_there_are_some(capsys, tmp_path):
    """Half of the networks have none."""
    runs = measured_runs(NETWORKS, 1, noise=0)
    runs = [*runs[:12], *(replace(run, block_latency_ms=None, block_method=None) for run in runs[12:])]
    module = make_data(make_dataset(tmp_path / "d", runs))
    module.setup("fit")
    table = module.fit_chain()
    assert capsys.readouterr().out == ""
    expected = [block_latency_ms(p) for p in module.vocabulary.by_id]
    known = table.measured[1:]
    np.testing.assert_allclose(table.value[1:][known], np.array(expected)[known], rtol=1e-6)


def test_a_chain_that_unfolds_nothing_needs_no_block_values(capsys, tmp_path):
    module = make_data(with_energy(tmp_path / "d", blocks=False), ["remove_anomaly"], metric="energy_mj")
    module.setup("fit")
    assert module.fit_chain().value.isnan().all()
    assert capsys.readouterr().out == ""
    expected = [3 * LATENCIES[i] for i in module.network_ids("train")]
    np.testing.assert_allclose(module.batch("train").target, expected, rtol=1e-6)


def test_a_metric_that_some_networks_lack_stops_or_drops_them(tmp_path):
    path = with_energy(tmp_path / "d", networks=NETWORKS[:-1])
    append_runs(Dataset.open(path), measured_runs(NETWORKS[-1:], 1, session_id="s1"))
    message = "expected a successful run with energy_mj of every network, found none of 1 of 24, the first is"
    with pytest.raises(DatasetError, match=rf"{message} {NETWORKS[-1].network_id}\."):
        make_data(path, metric="energy_mj").setup("fit")
    module = make_data(path, metric="energy_mj", without_runs="drop")
    module.setup("fit")
    assert len(module.measurements.networks) == 23


class DropOne(RowStep):
    """Leaves no run of one network."""

    name = "drop_one"
    needs = gives = frozenset()

    def __init__(self, code):
        self.code = code

    def __call__(self, rows):
        return replace(rows, runs=rows.runs[rows.runs["network"] != self.code])


def test_a_training_network_without_runs_after_cleaning_is_refused(exact):
    module = make_data(exact)
    module.setup("fit")
    module.chain.steps = (BlockSum(), DropOne(module.labelled.codes["train"][2]), Flatten())
    message = (
        rf"^{exact}: expected runs of every training network after .*block_sum.*drop_one.*flatten.*, "
        rf"found none of 1, the first is {module.network_ids('train')[2]}\. Measure more rounds"
    )
    with pytest.raises(SplitError, match=message):
        module.fit_chain()


@pytest.mark.parametrize(
    ("options", "stage", "message"),
    [
        (
            {"val": 0.0},
            "fit",
            r"at least 2 networks in the split 'val', found 0 of 24 architectures \(val 0.0, test 0.25",
        ),
        ({"test": 0.0}, "test", r"at least 2 networks in the split 'test', found 0 of 24 .* or change --data.test"),
        ({"val": 0.0}, "validate", "at least 2 networks in the split 'val'"),
        (
            {"val": 0.499, "test": 0.5},
            "fit",
            "at least 1 networks in the split 'train', found 0 of .* change --data.val",
        ),
    ],
)
def test_an_empty_split_is_refused(exact, options, stage, message):
    with pytest.raises(SplitError, match=f"^{exact}: expected {message}"):
        make_data(exact, **options).setup(stage)


def test_a_split_that_the_stage_does_not_need_may_be_empty(exact):
    make_data(exact, test=0.0).setup("fit")
    make_data(exact, val=0.0).setup("test")


def test_one_network_is_no_validation(tmp_path):
    split = Split(seed=0, val=0.25, test=0.25)
    networks = sorted(NETWORKS, key=lambda network: split.part_of(network.network_id) == "val")
    count = sum(split.part_of(network.network_id) != "val" for network in networks)
    path = make_dataset(tmp_path / "d", measured_runs(networks[: count + 1], 1))
    with pytest.raises(SplitError, match="expected at least 2 networks in the split 'val', found 1 of"):
        make_data(path).setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metric": "latency"},
            "data.metric: unknown metric 'latency', expected one of latency_ms, energy_mj, memory_mb",
        ),
        ({"metric": None}, "data.metric: unknown metric 'None'"),
        ({"uncovered": None}, "data.uncovered: unknown uncovered 'None', expected one of stop, drop"),
        ({"without_runs": "ignore"}, "data.without_runs: unknown without_runs 'ignore', expected one of stop, drop"),
        ({"batch_size": 0}, "data.batch_size: expected an integer >= 1, found 0"),
        ({"batch_size": None}, "data.batch_size: expected an integer >= 1, found None"),
        ({"val": 0.6, "test": 0.5}, "data: expected an integer and shares that leave .* val 0.6 and test 0.5"),
        ({"val": None}, "data: expected an integer and shares .* val None"),
        ({"split_seed": None}, "data: expected .* split_seed None"),
        ({"chain": ["blocksum"]}, "data.preprocessors: unknown step 'blocksum'"),
        ({"chain": None}, "data.preprocessors: expected a list of steps, found None"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(options, message):
    with pytest.raises(ConfigError if "chain" not in options else Exception, match=f"^{message}") as error:
        make_data("nowhere", **options)
    assert "\n" not in str(error.value)


def test_a_dataset_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"lost: expected a dataset, found no readable card.json there"):
        make_data(tmp_path / "lost").setup("fit")


def test_nothing_is_there_before_the_setup(exact):
    with pytest.raises(RuntimeError, match="setup was not called"):
        make_data(exact).fit_chain()


def test_arguments_and_what_was_read_stay_as_they_are(exact):
    chain = ["block_sum", {"remove_anomaly": {"tolerance": 0.2}}, {"flatten": None}]
    before = copy.deepcopy(chain)
    module = make_data(exact, chain)
    module.setup("fit")
    read = copy.deepcopy(module.measurements)
    module.fit_chain()
    assert chain == before == module.preprocessors
    assert module.preprocessors is not chain
    assert module.measurements.runs.equals(read.runs)
    np.testing.assert_array_equal(module.measurements.block_values, read.block_values)
    assert module.measurements.networks == read.networks


def test_an_order_that_is_not_known_is_refused(exact):
    with pytest.raises(ConfigError, match=r"data\.order: unknown order 'time', expected one of unknown, measured\."):
        make_data(exact, order="time")
