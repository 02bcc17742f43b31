"""A phone of HELP from twenty measurements, in FBNet: real devices."""

from pathlib import Path

import pytest
import torch
from mixtures import device
from scipy.stats import spearmanr

from latpred.dataset.importers import read_help
from latpred.shipped import shipped_config
from latpred.spaces import load_space
from latpred.transfer import choose_networks, fit_sources, transfer

SHARED = Path(__file__).parents[3] / "shared/data/help"
SOURCES = ("essential_ph_1", "samsung_a50", "silver_4114")


@pytest.mark.shared
def test_a_phone_from_two_others_and_a_server():
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    space = load_space(shipped_config("spaces", "fbnet"))
    read = read_help(SHARED / "fbnet", space, [*SOURCES, "pixel3"], keep_refused=True)
    values = {found.name: {run.network: run.latency_ms for run in found.runs} for found in read.devices}
    order = torch.randperm(len(read.networks), generator=torch.Generator().manual_seed(0)).tolist()

    def measured(name, places):
        latency = torch.tensor([values[name][i] for i in places], dtype=torch.float64)
        return device([read.networks[i] for i in places], latency, name)

    sources = fit_sources(space, [measured(name, order[:150]) for name in SOURCES])
    candidates = {read.networks[i].network_id: i for i in order[200:400]}
    chosen = choose_networks(sources, [read.networks[i] for i in candidates.values()], 20)
    new = measured("pixel3", [candidates[network.network_id] for network in chosen])
    found = transfer(sources, new)
    test = measured("pixel3", order[1000:2000])
    predicted = found.net(test.ids)
    assert spearmanr(sources.see(test.ids).said.mean(0), test.latency).statistic < 0.9  # what they say without it
    assert spearmanr(predicted, test.latency).statistic > 0.94
