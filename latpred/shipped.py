"""Where the configurations lie that come with latpred."""

from __future__ import annotations

from pathlib import Path

from latpred.errors import ConfigError


def configs_folder() -> Path:
    """Return the folder of the shipped configurations: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def shipped_names(kind: str) -> list[str]:
    """Return the names of the shipped configurations of a kind: `spaces`, `devices` or `runs`."""
    return sorted(path.stem for path in (configs_folder() / kind).glob("*.yaml"))


def shipped_config(kind: str, name: str) -> Path:
    """Return the path of a shipped configuration.

    Raises:
        ConfigError: If there is none of that name, naming those there are.
    """
    names = shipped_names(kind)
    if name not in names:
        problem = f"unknown name '{name}', expected one of {', '.join(names)}"
        raise ConfigError(f"configs/{kind}", problem, "Mend the name")
    return configs_folder() / kind / f"{name}.yaml"
