"""What all tests share; `pythonpath` in pyproject.toml lets every test say `from synthetic import ...`."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests: one of some minutes at the end would keep one worker busy and the other idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
