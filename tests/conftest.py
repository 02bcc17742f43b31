"""What all tests share; `pythonpath` in pyproject.toml lets every test say `from synthetic import ...`."""

import tempfile
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that were given most time, then the slow ones: a long one at the end would be waited for."""

    def place(item: pytest.Item) -> tuple[float, bool]:
        timeout = item.get_closest_marker("timeout")
        return -float(timeout.args[0]) if timeout else 0.0, item.get_closest_marker("slow") is None

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give this worker, and the processes it starts, a folder for temporary files: the lock of a session lies there.

    The folder's path is short, because names of sockets, which some libraries make there, must be.
    """
    tmp_path_factory.getbasetemp()  # pytest's own stays where it can be looked at afterwards
    with tempfile.TemporaryDirectory(prefix="latpred-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)  # what this process has found so far
        yield
