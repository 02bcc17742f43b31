"""The architectures of MNasNetOFA: value, JSON form, mutation, and what is wrong with one that is not in the space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any, TypeVar

from latpred.spaces.mnasnet_layout import Stage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MNasNetArchitecture:
    """A network of MNasNetOFA; widths and kernels are those of the blocks that it has."""

    depth: tuple[int, ...]
    """Number of blocks of each stage."""
    width: tuple[tuple[int, ...], ...]
    """Expansion ratio of each block, by stage."""
    kernel: tuple[tuple[int, ...], ...]
    """Kernel of each block's depthwise convolution, by stage."""
    image_size: int
    """Height and width of the input image, pixels."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, in plain integers even if NumPy's came in."""
        return {
            "depth": [int(depth) for depth in self.depth],
            "width": [[int(width) for width in row] for row in self.width],
            "kernel": [[int(kernel) for kernel in row] for row in self.kernel],
            "image_size": int(self.image_size),
        }

    @classmethod
    def from_json(cls, value: object) -> MNasNetArchitecture:
        """Read the JSON form; whether it lies in a space is for the space to say.

        Raises:
            ValueError: If keys are unknown or missing, or something else than lists stands behind them.
        """
        keys = [field.name for field in fields(cls)]
        if not isinstance(value, dict) or sorted(value) != sorted(keys):
            found = ", ".join(sorted(map(str, value))) if isinstance(value, dict) else repr(value)
            raise ValueError(f"expected an architecture with the keys {', '.join(keys)}, found {found}")
        for key in ("depth", "width", "kernel"):
            rows = value[key] if isinstance(value[key], list) else [None]
            if not all(isinstance(row, int if key == "depth" else list) for row in rows):
                shape = "a list of integers" if key == "depth" else "a list of one list of integers for each stage"
                raise ValueError(f"expected {key} to be {shape}, found {value[key]!r}")
        width, kernel = (tuple(tuple(row) for row in value[key]) for key in ("width", "kernel"))
        return cls(tuple(value["depth"]), width, kernel, value["image_size"])


def fault(architecture: MNasNetArchitecture, stages: Sequence[Stage], image_sizes: Sequence[int]) -> str:
    """Return which entry of `architecture` the space does not allow, what it allows, and what was found."""
    return next(
        _faults(architecture, stages, image_sizes), f"expected an architecture of the space, found {architecture}"
    )


def _faults(architecture: MNasNetArchitecture, stages: Sequence[Stage], image_sizes: Sequence[int]) -> Iterator[str]:
    if architecture.image_size not in image_sizes:
        yield _expected("image_size", image_sizes, architecture.image_size)
    for name in ("depth", "width", "kernel"):
        values = getattr(architecture, name)
        if not isinstance(values, Sequence) or len(values) != len(stages):
            yield f"expected {name} to have {len(stages)} entries, one for each stage, found {values!r}"
    for i, stage in enumerate(stages):
        depth = architecture.depth[i]
        if depth not in stage.depths:
            yield _expected(f"depth[{i}]", stage.depths, depth)
        for name, row, allowed in (
            ("width", architecture.width[i], stage.widths),
            ("kernel", architecture.kernel[i], stage.kernels),
        ):
            if not isinstance(row, Sequence) or len(row) != depth:
                yield f"expected {name}[{i}] to have {depth} entries, as depth[{i}] says, found {row!r}"
            for j, value in enumerate(row):
                if value not in allowed:
                    yield _expected(f"{name}[{i}][{j}]", allowed, value)


def _expected(name: str, allowed: Sequence[int], found: object) -> str:
    return f"expected {name} to be one of {', '.join(map(str, allowed))}, found {found!r}"


def mutated(
    architecture: MNasNetArchitecture, stages: Sequence[Stage], image_sizes: Sequence[int], rng: Random
) -> MNasNetArchitecture | None:
    """Return `architecture` with another image size, depth of a stage, or width or kernel of a block.

    A stage that gets deeper draws the width and kernel of its new blocks; one that gets shallower loses its last.
    None where the space leaves no choice.
    """
    changes = possible_changes(architecture, stages, image_sizes)
    if not changes:
        return None
    what, i, j = rng.choice(changes)
    if what == "image_size":
        return replace(architecture, image_size=_other(image_sizes, architecture.image_size, rng))
    if what == "depth":
        return _with_depth(architecture, i, _other(stages[i].depths, architecture.depth[i], rng), stages[i], rng)
    if what == "width":
        row = other_at(architecture.width[i], j, stages[i].widths, rng)
        return replace(architecture, width=_put(architecture.width, i, row))
    row = other_at(architecture.kernel[i], j, stages[i].kernels, rng)
    return replace(architecture, kernel=_put(architecture.kernel, i, row))


def possible_changes(
    architecture: MNasNetArchitecture, stages: Sequence[Stage], image_sizes: Sequence[int]
) -> list[tuple[str, int, int]]:
    """Return what `mutated` can change: a field, and the stage and block where it has several."""
    changes = [("image_size", 0, 0)] if len(image_sizes) > 1 else []
    for i, stage in enumerate(stages):
        changes += [("depth", i, 0)] if len(stage.depths) > 1 else []
        for j in range(architecture.depth[i]):
            changes += [("width", i, j)] if len(stage.widths) > 1 else []
            changes += [("kernel", i, j)] if len(stage.kernels) > 1 else []
    return changes


def _with_depth(
    architecture: MNasNetArchitecture, i: int, depth: int, stage: Stage, rng: Random
) -> MNasNetArchitecture:
    new = range(architecture.depth[i], depth)
    width = architecture.width[i][:depth] + tuple(rng.choice(stage.widths) for _ in new)
    kernel = architecture.kernel[i][:depth] + tuple(rng.choice(stage.kernels) for _ in new)
    return replace(
        architecture,
        depth=_put(architecture.depth, i, depth),
        width=_put(architecture.width, i, width),
        kernel=_put(architecture.kernel, i, kernel),
    )


def other_at(values: tuple[T, ...], i: int, choices: Sequence[T], rng: Random) -> tuple[T, ...]:
    """Return `values` with another of `choices` at `i`."""
    return _put(values, i, _other(choices, values[i], rng))


def _other(choices: Sequence[T], present: T, rng: Random) -> T:
    return rng.choice([choice for choice in choices if choice != present])


def _put(values: tuple[T, ...], i: int, value: T) -> tuple[T, ...]:
    return (*values[:i], value, *values[i + 1 :])
