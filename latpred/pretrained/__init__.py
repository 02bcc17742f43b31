"""The predictors that come with latpred: exports of networks measured on machines that stand beside them.

`SPACE/HARDWARE/RUNTIME.ts` in this folder is an export, with its card inside; the `.json` beside it says on what
machine its networks were measured, when, and with how much noise. `benchmarks/ship.py` writes both.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from latpred.card import PredictorCard
from latpred.errors import ArtefactError

SCHEMA_VERSION = 1
"""Of the `.json`."""

_PARTS = 3
"""Of a name: space, hardware and runtime."""

_CARD = "/extra/card.json"
"""How the card's place in a `.ts`, a zip archive, ends."""


class Pretrained(NamedTuple):
    """A predictor that comes with latpred."""

    name: str
    """SPACE/HARDWARE/RUNTIME."""
    path: Path
    """The `.ts`."""
    card: PredictorCard
    machine: dict[str, Any]
    """`processor`, `cores`, `memory_gib`, `virtualisation`, `system` and `note`, in words what else is to be known."""
    measured: dict[str, Any]
    """`from` and `to`, UTC; `sampled` and `assembled`, networks; `runs`; `label_noise`, a fraction."""

    def to_json(self) -> dict[str, Any]:
        """Return what `latpred models --json` prints of it."""
        card = self.card
        return {
            "name": self.name,
            "space": card.space.name,
            "space_parameters": card.space.parameters,
            "device": card.device.to_dict(),
            "metric": card.metric,
            "unit": card.unit,
            "predictor": card.predictor,
            "errors": card.errors,
            "training_networks": len(card.training_network_ids),
            "machine": self.machine,
            "measured": self.measured,
            "versions": card.versions,
            "created_at": card.created_at,
        }


def pretrained_names() -> list[str]:
    """Return the names of all predictors that come with latpred, sorted."""
    folder = _folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*/*.ts"))


def pretrained_path(name: str) -> Path:
    """Return the `.ts` of a predictor that comes with latpred.

    Raises:
        ArtefactError: If there is none of that name, naming those there are.
    """
    names = pretrained_names()
    if name not in names:
        problem = f"expected a file, or the name of a predictor that comes with latpred: {', '.join(names)}"
        raise ArtefactError(name, f"{problem}; found neither", "Check the path or the name")
    return _folder() / f"{name}.ts"


def resolve(path: str | Path) -> Path:
    """Return the file that is meant: what exists is a path, and SPACE/HARDWARE/RUNTIME without a suffix a name.

    Raises:
        ArtefactError: If it is a name and there is no predictor of it, naming those there are.
    """
    given = Path(path)
    if given.exists() or given.suffix or given.is_absolute() or len(given.parts) != _PARTS:
        return given
    return pretrained_path(given.as_posix())


def read_pretrained(name: str) -> Pretrained:
    """Read what is known about a predictor that comes with latpred, and not its net.

    Raises:
        ArtefactError: If there is none of that name, or it lacks a part.
    """
    path = pretrained_path(name)
    note = path.with_suffix(".json")
    try:
        values = json.loads(note.read_text(encoding="utf-8"))
        with zipfile.ZipFile(path) as archive:
            (member,) = [member for member in archive.namelist() if member.endswith(_CARD)]
            text = archive.read(member).decode()
        if values["schema_version"] != SCHEMA_VERSION:
            problem = f"expected schema version {SCHEMA_VERSION}, found {values['schema_version']}"
            raise ArtefactError(str(note), problem, "Install latpred again")
        card = PredictorCard.from_json(text, str(path))
        return Pretrained(name, path, card, values["machine"], values["measured"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(repr(error).split())
        problem = f"expected a predictor with its card and, beside it, {note.name}, got: {reason}"
        raise ArtefactError(str(path), problem, "Install latpred again") from None


def _folder() -> Path:
    return Path(__file__).parent
