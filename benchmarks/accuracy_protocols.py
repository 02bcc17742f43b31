"""The published protocols on HELP's measurements: which devices teach which, and what others reached."""

from __future__ import annotations

from typing import NamedTuple

ND_SOURCES = (
    *("1080ti_1", "1080ti_32", "1080ti_256", "silver_4114", "silver_4210r"),
    *("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"),
)
ND_TARGETS = ("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga")
_GPUS = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")


class Task(NamedTuple):
    """Devices that were measured before, and those that are new, each measured on a few networks."""

    name: str
    space: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    samples: int
    published: dict[str, float]
    """Mean Spearman correlation over the targets, by method."""
    ceiling: float
    """What a predictor reaches from thousands of measurements of the new devices themselves, about."""
    trimmed: bool = False
    """Whether scored as HELP's own code does: networks 900 to 1,899, without the slowest and fastest tenth."""

    @property
    def best_published(self) -> float:
        """The best of the published figures."""
        return max(self.published.values())


def _published(help_: float, multipredict: float, nasflat: float) -> dict[str, float]:
    return {"HELP": help_, "MultiPredict": multipredict, "NASFLAT": nasflat}


TASKS = (
    Task("HELP", "nasbench201", ND_SOURCES, ND_TARGETS, 10, {"HELP": 0.932}, 0.977),
    Task("HELP_trimmed", "nasbench201", ND_SOURCES, ND_TARGETS, 10, {"HELP": 0.932}, 0.962, trimmed=True),
    Task("ND", "nasbench201", ND_SOURCES, ND_TARGETS, 20, _published(0.948, 0.930, 0.959), 0.977),
    Task(
        "FD",
        "fbnet",
        (
            *("1080ti_1", "1080ti_32", "1080ti_64", "silver_4114", "silver_4210r"),
            *("samsung_a50", "pixel3", "essential_ph_1", "samsung_s7"),
        ),
        ("fpga", "raspi4", "eyeriss"),
        20,
        _published(0.910, 0.960, 0.961),
        0.999,
    ),
    Task(
        "F1",
        "fbnet",
        ("2080ti_1", "essential_ph_1", "silver_4114", "titan_rtx_1", "titan_rtx_32"),
        ("eyeriss", "fpga", "raspi4", "samsung_a50", "samsung_s7"),
        20,
        _published(0.793, 0.756, 0.809),
        0.931,
    ),
    Task(
        "F2",
        "fbnet",
        ("essential_ph_1", "gold_6226", "gold_6240", "pixel3", "raspi4"),
        ("1080ti_1", "1080ti_32", "2080ti_32", "titan_rtx_1", "titanxp_1"),
        20,
        _published(0.543, 0.567, 0.871),
        0.98,
    ),
    Task(
        "F3",
        "fbnet",
        ("essential_ph_1", "pixel2", "pixel3", "raspi4", "samsung_s7"),
        ("1080ti_1", "1080ti_32", "2080ti_1", "titan_rtx_1", "titan_rtx_32"),
        20,
        _published(0.413, 0.434, 0.814),
        0.98,
    ),
    Task(
        "F4",
        "fbnet",
        (
            *("1080ti_64", "2080ti_1", "eyeriss", "gold_6226", "gold_6240", "raspi4"),
            *("samsung_s7", "silver_4210r", "titan_rtx_1", "titan_rtx_32"),
        ),
        ("1080ti_1", "pixel2", "essential_ph_1"),
        20,
        _published(0.799, 0.763, 0.734),
        0.83,
    ),
    Task(
        "FA",
        "fbnet",
        tuple(f"{gpu}_{batch}" for gpu in _GPUS for batch in (1, 32, 64)),
        ("gold_6226", "essential_ph_1", "samsung_s7", "pixel2"),
        20,
        _published(0.370, 0.450, 0.577),
        0.81,
    ),
)
