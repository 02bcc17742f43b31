"""Small matrices are computed on one thread, and the others come back."""

import pytest
import torch
from mixtures import EVERYTHING, SPACE, mixture

from latpred.transfer import choose_networks, fit_sources, leave_out, transfer
from latpred.transfer.threads import one_thread


@pytest.fixture(autouse=True)
def three_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(threads)


def test_the_threads_come_back_after_an_error():
    seen = []

    @one_thread()
    def fail():
        seen.append(torch.get_num_threads())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [1]
    assert torch.get_num_threads() == 3


def test_all_that_takes_long_has_one_thread(monkeypatch):
    seen = []
    inverse = torch.linalg.inv
    monkeypatch.setattr(torch.linalg, "inv", lambda matrix: seen.append(torch.get_num_threads()) or inverse(matrix))
    sources = fit_sources(SPACE, [mixture(0.1, 20), mixture(0.9, 20)])
    assert seen
    assert set(seen) == {1}
    for call in (lambda: transfer(sources, mixture(0.4, 4)), lambda: leave_out(sources, mixture(0.4, 4))):
        seen.clear()
        call()
        assert set(seen) == {1}
    choose_networks(sources, EVERYTHING[:20], 2)
    assert torch.get_num_threads() == 3
