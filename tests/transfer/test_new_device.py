"""What is told of a new device: its card, its errors, and what is wrong with its measurements."""

from dataclasses import replace

import pytest
import torch
from measured import append_runs, make_measured, tiny_space
from mixtures import EVERYTHING, SPACE, device, latency_ms, mixture, with_blocks
from synthetic import DEVICE, make_run

from latpred.dataset import Dataset
from latpred.errors import CardError, DatasetError, UsageError
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.transfer import fit_sources, leave_out, read_device, read_sources, transfer
from latpred.transfer.new_device import errors_of


@pytest.fixture(scope="module")
def sources():
    return fit_sources(SPACE, [mixture(share, 60, first=60 * i) for i, share in enumerate((0.1, 0.9))], seed=3)


@pytest.mark.parametrize("count", [1, 2])
def test_of_one_or_two_networks_no_error_is_told(sources, count):
    found = transfer(sources, mixture(0.4, count, first=200))
    assert found.left_out is None
    assert found.card.errors == {}
    assert found.card.calibration is None
    assert found.off(mixture(0.4, count, first=200)) == []


def test_the_card_says_what_it_came_from(sources):
    new = mixture(0.4, 9, first=200)
    card = transfer(sources, new).card
    assert card.predictor == "transfer"
    assert [source["device"]["hardware"] for source in card.predictor_parameters["sources"]] == [
        "mixture of 0.1",
        "mixture of 0.9",
    ]
    assert card.predictor_parameters["measured"] == 9
    assert card.predictor_parameters["blocks"] is False
    assert card.predictor_parameters["seed"] == 3
    assert card.training_network_ids == list(new.network_ids)
    assert (card.metric, card.unit, card.device.hardware) == ("latency_ms", "ms", "mixture of 0.4")
    assert card.space == SPACE.card()
    assert len(card.calibration.scores) == 9


def test_errors_are_those_on_networks_that_were_left_out(sources):
    new = mixture(0.4, 5, first=200)
    found = transfer(sources, new)
    expected = torch.cat(
        [
            sources.model.adapt(sources.see(new.ids[kept]), new.latency[kept]).mean(sources.see(new.ids[out]))
            for out, kept in (([i], [j for j in range(5) if j != i]) for i in range(5))
        ]
    )
    torch.testing.assert_close(found.left_out, expected)
    mape = float((expected / new.latency - 1).abs().mean())
    assert found.card.errors["left_out"]["mape"] == pytest.approx(mape, rel=1e-4)
    scores = ((expected - new.latency).abs() / expected.sqrt()).sort().values
    assert found.card.calibration.scores == pytest.approx(scores.tolist())


def test_of_many_networks_several_are_left_out_at_once(sources):
    """Of 25 networks, numbers 0 and 20 are left out together."""
    new = mixture(0.4, 25, first=200)
    kept = [i for i in range(25) if i not in (0, 20)]
    expected = sources.model.adapt(sources.see(new.ids[kept]), new.latency[kept]).mean(sources.see(new.ids[[0, 20]]))
    torch.testing.assert_close(leave_out(sources, new)[[0, 20]], expected)


def test_blocks_of_networks_that_are_left_out_are_not_seen(sources):
    """Neither by the errors, nor by the intervals that are made from them."""
    networks = EVERYTHING[200:206]
    new = with_blocks(mixture(0.4, 6, first=200), networks, 0.4, 0.9)
    found = leave_out(sources, new)
    strange = replace(new.blocks, value=torch.where(new.blocks.network == 2, 1.5 * new.blocks.value, new.blocks.value))
    torch.testing.assert_close(leave_out(sources, replace(new, blocks=strange))[2], found[2])
    assert not torch.allclose(leave_out(sources, replace(new, blocks=strange))[3], found[3], rtol=1e-6)
    assert transfer(sources, new).card.predictor_parameters["blocks"] is True


def test_a_device_is_as_if_fewer_had_been_measured():
    networks = EVERYTHING[200:206]
    new = with_blocks(mixture(0.4, 6, first=200), networks, 0.4, 0.9)
    few = new.take(torch.tensor([4, 1]))
    assert few.network_ids == (networks[4].network_id, networks[1].network_id)
    torch.testing.assert_close(few.latency, new.latency[[4, 1]])
    sums = torch.zeros(2, dtype=torch.float64).index_add(0, few.blocks.network, few.blocks.value)
    torch.testing.assert_close(sums, 0.9 * few.latency)


def test_ranks_that_do_not_exist_are_left_out():
    """A card has no NaN."""
    found = errors_of(torch.ones(3), torch.tensor([1.0, 2.0, 4.0]))
    assert found["mape"] == pytest.approx((0 + 1 / 2 + 3 / 4) / 3)
    assert "kendall" not in found


def test_a_measurement_far_off_is_named(sources):
    new = mixture(0.4, 10, first=200)
    new.latency[4] *= 100
    (line,) = transfer(sources, new).off(new)
    assert line.startswith(f"network {new.network_ids[4]} has {float(new.latency[4]):.4g} ms, the others say ")
    assert transfer(sources, mixture(0.4, 10, first=200)).off(mixture(0.4, 10, first=200)) == []


def test_equal_measurements_are_refused(sources):
    new = device(EVERYTHING[:4], torch.full((4,), 1.5, dtype=torch.float64), "flat")
    with pytest.raises(
        DatasetError, match=r"flat: expected networks that differ in latency_ms, found 1\.5 ms for all 4"
    ):
        transfer(sources, new)


def test_only_primitives_of_no_network_at_all_are_unmeasured():
    """Without sources, those of the measured network alone count."""
    new = mixture(0.4, 1, first=200)
    card = transfer(fit_sources(SPACE, []), new).card
    assert set(card.unmeasured_ids) == set(range(len(SPACE.vocabulary()))) - set(new.ids[0].tolist())
    assert transfer(fit_sources(SPACE, [mixture(0.1, 60)]), new).card.unmeasured_ids == []


def test_an_architecture_of_the_space_is_near(sources):
    """What stands for the space without sources is drawn from all of it."""
    net = transfer(fit_sources(SPACE, []), mixture(0.4, 3)).card.domain
    assert net.reach > 1


def test_a_dataset_is_read_with_its_architectures_alone(tmp_path):
    make_measured(tmp_path / "data", tiny_space(), networks=7, noise=0)
    found = read_device(tmp_path / "data", "latency_ms", tiny_space(), "Measure some")
    networks = {network.network_id: network for network in EVERYTHING}
    assert len(found) == 7
    assert list(found.network_ids) == sorted(found.network_ids)
    for network_id, ids, value in zip(found.network_ids, found.ids, found.latency, strict=True):
        network = networks[network_id]
        assert tuple(ids.tolist()) == network.encoding
        assert float(value) == pytest.approx(float(latency_ms([network], 0.0)), rel=1e-4)
    sums = torch.zeros(7, dtype=torch.float64).index_add(0, found.blocks.network, found.blocks.value)
    torch.testing.assert_close(sums, found.latency, rtol=1e-4, atol=0)


def test_a_metric_of_whole_networks_alone_has_no_blocks(tmp_path):
    dataset = Dataset.create(tmp_path / "data", SPACE.card(), DEVICE)
    runs = [make_run(network, sequence=i, overall_memory_mb=5.0) for i, network in enumerate(EVERYTHING[:3])]
    append_runs(dataset, runs)
    found = read_device(tmp_path / "data", "memory_mb", SPACE, "Measure some")
    assert (len(found), found.blocks) == (3, None)


def test_a_dataset_without_networks_is_refused(tmp_path):
    Dataset.create(tmp_path / "empty", SPACE.card(), mixture(0.1, 1).card.device)
    with pytest.raises(
        DatasetError, match=r"empty: expected at least 1 network with a measured latency_ms, found no succ"
    ):
        read_device(tmp_path / "empty", "latency_ms", SPACE, "Measure some")


def test_a_dataset_of_another_metric_is_refused(tmp_path):
    make_measured(tmp_path / "data", tiny_space(), networks=3, assembled=False)
    with pytest.raises(DatasetError, match=r"with a measured energy_mj, found only latency_ms\. Measure some"):
        read_device(tmp_path / "data", "energy_mj", SPACE, "Measure some")
    with pytest.raises(UsageError, match="expected one of latency_ms, energy_mj, memory_mb, found 'speed'"):
        read_device(tmp_path / "data", "speed", SPACE, "Measure some")


def test_a_dataset_of_another_space_is_refused_by_the_difference(tmp_path):
    make_measured(tmp_path / "data", tiny_space(), networks=3, assembled=False)
    other = MNasNetOFA(**tiny_space().parameters | {"width_choice": [3, 6]})
    with pytest.raises(CardError, match=r"another: mnasnet_ofa\.width_choice = \[3, 6\] against \[3, 4\]"):
        read_device(tmp_path / "data", "latency_ms", other, "Measure some")


@pytest.mark.parametrize(("new", "role"), [("new", "a source"), ("data", "the new device")])
def test_a_dataset_stands_once(tmp_path, new, role):
    make_measured(tmp_path / "data", tiny_space(), networks=3, assembled=False)
    paths = [tmp_path / "data", tmp_path / "x/../data"]
    (tmp_path / "x").mkdir()
    with pytest.raises(
        UsageError, match=f"expected each dataset once, found this one as a source and once more as {role}"
    ):
        read_sources(paths, "latency_ms", SPACE, tmp_path / new)
