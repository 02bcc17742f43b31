"""The architectures of SSDOFA: value, JSON form, and what is wrong with one that is not in the space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from latpred.spaces.mnasnet_architecture import MNasNetArchitecture

_HEAD_KEYS = ("head_width", "head_kernel")


@dataclass(frozen=True, slots=True)
class SSDArchitecture:
    """A network of SSDOFA."""

    backbone: MNasNetArchitecture
    head_width: tuple[float, ...]
    """Ratio of the inner width of each head's extra block to its input channels."""
    head_kernel: tuple[int, ...]
    """Kernel of each extra block's depthwise convolution."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form: the backbone's keys and the heads', in plain numbers even if NumPy's came in."""
        return self.backbone.to_json() | {
            "head_width": [plain_ratio(width) for width in self.head_width],
            "head_kernel": [int(kernel) for kernel in self.head_kernel],
        }

    @classmethod
    def from_json(cls, value: object) -> SSDArchitecture:
        """Read the JSON form; whether it lies in a space is for the space to say.

        Raises:
            ValueError: If keys are unknown or missing, or something else than lists stands behind them.
        """
        keys = [*MNasNetArchitecture.__slots__, *_HEAD_KEYS]
        if not isinstance(value, dict) or sorted(value) != sorted(keys):
            found = ", ".join(sorted(map(str, value))) if isinstance(value, dict) else repr(value)
            raise ValueError(f"expected an architecture with the keys {', '.join(keys)}, found {found}")
        for key in _HEAD_KEYS:
            row = value[key] if isinstance(value[key], list) else [None]
            if not all(isinstance(entry, int | float) and not isinstance(entry, bool) for entry in row):
                raise ValueError(f"expected {key} to be a list of numbers, found {value[key]!r}")
        backbone = MNasNetArchitecture.from_json({key: value[key] for key in value if key not in _HEAD_KEYS})
        return cls(backbone, tuple(value["head_width"]), tuple(value["head_kernel"]))


def plain_ratio(ratio: float) -> float:
    """Return `ratio` as a primitive has it: an integer where it is whole."""
    return int(ratio) if float(ratio).is_integer() else float(ratio)


def head_fault(architecture: SSDArchitecture, heads: int, widths: Sequence[float], kernels: Sequence[int]) -> str:
    """Return which entry of the heads the space does not allow, what it allows, and what was found."""
    return next(
        _faults(architecture, heads, widths, kernels), f"expected an architecture of the space, found {architecture}"
    )


def _faults(
    architecture: SSDArchitecture, heads: int, widths: Sequence[float], kernels: Sequence[int]
) -> Iterator[str]:
    for name, allowed in (("head_width", widths), ("head_kernel", kernels)):
        row = getattr(architecture, name)
        if not isinstance(row, Sequence) or len(row) != heads:
            yield f"expected {name} to have {heads} entries, one for each head, found {row!r}"
        for i, value in enumerate(row):
            if value not in allowed:
                yield f"expected {name}[{i}] to be one of {', '.join(map(str, allowed))}, found {value!r}"
