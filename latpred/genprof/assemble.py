"""Assembled profiling networks: each primitive of a space once, with as little as possible to connect them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from latpred.errors import UsageError
from latpred.network import Network, Role
from latpred.primitive import Primitive, downsampled
from latpred.spaces import SearchSpace

IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class Assembly:
    """Networks that hold the primitives of a space."""

    networks: tuple[Network, ...]
    """Each placed primitive stands once in all of them with the role `primitive`; the rest is `glue`."""
    unplaced: tuple[tuple[Primitive, str], ...]
    """The primitives that no network can hold, and why, in one line each."""


def assemble(space: SearchSpace[Any], max_layers: int = 20) -> Assembly:
    """Put every primitive of `space` into a network.

    A network opens with a 3x3 convolution from the image's three channels. What follows is a primitive that takes
    exactly what is there, else the largest one that 1x1 convolutions can lead to, else the network ends.

    Args:
        space: Whose primitives to place.
        max_layers: Most primitives of a network; the glue between them is not counted.

    Raises:
        UsageError: If `max_layers` is below 1.
        PrimitiveError: If the space has no `conv_1x1` or `conv_3x3` to connect its primitives with.
    """
    if max_layers < 1:
        raise UsageError("max_layers", f"expected at least 1 primitive in a network, found {max_layers}", "Raise it")
    for glue in (Primitive("conv_1x1", 1, 1, 1), Primitive("conv_3x3", 1, IMAGE_CHANNELS, 1, kernel_size=3)):
        space.type_of(glue)
    reasons = {primitive: _reason_not_to_place(space, primitive) for primitive in sorted(space.all_primitives())}
    waiting = sorted((p for p, reason in reasons.items() if not reason), key=_largest_first)
    image_size = max((primitive.spatial_size for primitive in waiting), default=0)
    networks = []
    while waiting:
        chain = _Chain.opened_for(waiting[0], image_size)
        while chain.placed < max_layers and (following := chain.choose(waiting)):
            chain.append(following)
            waiting.remove(following)
        networks.append(Network(space.name, tuple(chain.blocks), tuple(chain.roles)))
    return Assembly(tuple(networks), tuple((p, reason) for p, reason in reasons.items() if reason))


def _largest_first(primitive: Primitive) -> tuple[int, Primitive]:
    return -primitive.spatial_size, primitive


@dataclass
class _Chain:
    """A network that is being put together."""

    size: int
    """Of the feature map behind the last block, pixels."""
    C: int
    """Channels behind the last block."""
    blocks: list[Primitive] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    placed: int = 0
    """Blocks that are no glue."""

    @classmethod
    def opened_for(cls, first: Primitive, image_size: int) -> _Chain:
        """Start a network whose first primitive can be `first`; no image is larger than `image_size`."""
        if first.C == IMAGE_CHANNELS:
            return cls(first.spatial_size, IMAGE_CHANNELS)
        stride = 2 if 2 * first.spatial_size <= image_size else 1
        chain = cls(stride * first.spatial_size, IMAGE_CHANNELS)
        chain._add(Primitive("conv_3x3", chain.size, chain.C, first.C, stride, 3), "glue")
        return chain

    def choose(self, waiting: Iterable[Primitive]) -> Primitive | None:
        """Return the one of `waiting`, largest first, to come next; None if none can."""
        fitting = [p for p in waiting if (p.spatial_size, p.C) == (self.size, self.C)]
        if fitting:
            return min(fitting, key=lambda p: (p.stride, p.C_out != p.C, p))  # keeps the map as large as it is
        return next((p for p in waiting if self._steps_to(p.spatial_size) is not None), None)

    def append(self, primitive: Primitive) -> None:
        """Add `primitive`, and before it the glue that leads to its size and channels."""
        steps = self._steps_to(primitive.spatial_size) or 0
        for _ in range(steps):
            self._add(Primitive("conv_1x1", self.size, self.C, primitive.C, 2), "glue")
        if self.C != primitive.C:
            self._add(Primitive("conv_1x1", self.size, self.C, primitive.C), "glue")
        self._add(primitive, "primitive")
        self.placed += 1

    def _steps_to(self, size: int) -> int | None:
        """Return how many halvings lead to `size`; None if they pass it by."""
        steps, reached = 0, self.size
        while reached > size:
            steps, reached = steps + 1, downsampled(reached, 2)
        return steps if reached == size else None

    def _add(self, block: Primitive, role: Role) -> None:
        self.blocks.append(block)
        self.roles.append(role)
        self.size, self.C = block.out_size, block.C_out


def _reason_not_to_place(space: SearchSpace[Any], primitive: Primitive) -> str:
    """Return why `primitive` cannot be executed, in one line; an empty text if it can."""
    shape = (1, primitive.C, primitive.spatial_size, primitive.spatial_size)
    expected = (1, primitive.C_out, primitive.out_size, primitive.out_size)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            module: nn.Module = space.block(primitive).eval()
            found = tuple(module(torch.zeros(shape)).shape)
    except Exception as error:  # whatever a block of somebody else's raises, the other primitives can be placed
        return " ".join(f"{type(error).__name__}: {error}".split())
    return "" if found == expected else f"its output has the shape {found}, its fields say {expected}"
