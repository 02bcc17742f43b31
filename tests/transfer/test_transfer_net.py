"""The net of a transferred predictor says what the mathematics say."""

import pytest
import torch
from fitting import in_torch_only_process
from mixtures import EVERYTHING, SPACE, device, encoded, latency_ms, mixture, with_blocks

from latpred.export import export, load_onnx
from latpred.gaussian import count_blocks, fit
from latpred.preprocessing.block_values import block_values
from latpred.transfer import TransferNet, fit_sources, fold_device, transfer

IDS = encoded(EVERYTHING)
SHARES = {"none": (), "one": (0.3,), "three": (0.1, 0.5, 0.9)}


@pytest.fixture(scope="module", params=SHARES.values(), ids=SHARES.keys())
def sources(request):
    """As many sources as there may be, fewer networks each than all networks that stand for them."""
    return fit_sources(SPACE, [mixture(share, 40, first=40 * i) for i, share in enumerate(request.param)])


@pytest.fixture(scope="module", params=[False, True], ids=["wholes", "blocks"])
def new(request):
    device = mixture(0.65, 10, first=150, factor=3)
    return with_blocks(device, EVERYTHING[150:160], 0.65, 2.9) if request.param else device


def test_it_predicts_as_the_adapted_device(sources, new):
    found = sources.adapt(new)
    net, expected = found.net(), found.mean(IDS).float()
    torch.testing.assert_close(net(IDS), expected, rtol=1e-5, atol=0)
    assert expected.max() > 2 * expected.min()


def test_a_prediction_is_never_below_half_of_the_fastest_network(sources, new):
    net = transfer(sources, new).net
    nothing = torch.full((1, SPACE.slots), -1)
    floor = torch.tensor([float(new.latency.min()) / 2])
    assert net(nothing) >= floor
    net.offset -= 1e3
    torch.testing.assert_close(net(IDS[:1]), floor)


def test_without_blocks_the_sources_alone_are_seen(sources):
    new = mixture(0.65, 10, first=150, factor=3)
    adapted = sources.model.adapt(sources.see(new.ids), new.latency)
    expected = adapted.mean(sources.see(IDS))
    torch.testing.assert_close(sources.adapt(new).mean(IDS), expected)
    folded = TransferNet(fold_device(sources.folded, sources.kernel, adapted))
    torch.testing.assert_close(sources.adapt(new).net()(IDS), folded(IDS))


def test_blocks_that_add_up_are_one_more_source(sources, new):
    found, count = sources.adapt(new), len(sources.devices)
    said = found.net().said(IDS)
    assert said.shape == (len(IDS), count + (new.blocks is not None))
    torch.testing.assert_close(said[:, :count], sources.see(IDS).said.T)
    if new.blocks is not None:
        values = torch.from_numpy(block_values(new.blocks, sources.features, sources.block_base))
        torch.testing.assert_close(said[:, count], count_blocks(IDS, len(values)) @ values)


def test_neighbours_do_not_matter(sources, new):
    net = transfer(sources, new).net
    torch.testing.assert_close(net(IDS[:50])[7:8], net(IDS[7:8]), rtol=1e-6, atol=0)
    assert net(IDS[:0]).shape == (0,)


def test_the_sources_say_what_their_processes_say():
    """With fewer networks than centers, exactly; blocks of the second source multiply, and its scale is logarithmic."""
    networks = EVERYTHING[:40]
    devices = [mixture(0.1, 40), device(networks, latency_ms(networks, 0.9).exp())]
    sources = fit_sources(SPACE, devices)
    assert sources.folded.logarithm.tolist() == [False, True]
    everything = sources.kernel.networks(count_blocks(IDS, len(SPACE.vocabulary())))
    for source, said in zip(devices, sources.see(IDS).said, strict=True):
        counts = count_blocks(source.ids, len(SPACE.vocabulary()))
        posterior = fit(sources.kernel, counts, source.latency, source.weight)
        expected = posterior.mean(everything).clamp(min=float(source.latency.min()) / 2)
        torch.testing.assert_close(said, expected, rtol=1e-4, atol=0)


def test_a_source_says_at_least_half_of_its_fastest_network():
    sources = fit_sources(SPACE, [mixture(0.1, 40)])
    sources.folded.offset[0] = -1e3
    said = sources.see(IDS).said
    torch.testing.assert_close(said, torch.full_like(said, float(mixture(0.1, 40).latency.min()) / 2))


@pytest.mark.slow
def test_many_networks_of_a_source_are_stood_for_by_few():
    """More networks than centers, so that the parts over totals are projected."""
    everything = mixture(0.5, 390)
    said = fit_sources(SPACE, [everything, *(mixture(0.1 * i, 60) for i in range(12))]).see(IDS).said[0]
    torch.testing.assert_close(said, everything.latency, rtol=0.02, atol=0)


@pytest.mark.parametrize("shares", [(), (0.1, 0.9)], ids=["none", "two"])
def test_all_formats_give_the_same_numbers(shares, new, tmp_path):
    found = transfer(fit_sources(SPACE, [mixture(share, 40) for share in shares]), new)
    expected = found.net(IDS)
    export(found.net, found.card, tmp_path / "net", ["ts", "onnx"])
    torch.testing.assert_close(in_torch_only_process(tmp_path / "net.ts", IDS), expected, rtol=1e-5, atol=0)
    net, card = load_onnx(tmp_path / "net.onnx")
    torch.testing.assert_close(net(IDS), expected, rtol=1e-5, atol=0)
    assert card == found.card
