"""One module per distinct primitive, shared by all networks of a session."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from latpred.config import canonical_json
from latpred.network import Network
from latpred.primitive import Primitive
from latpred.spaces.base import SearchSpace

_STATISTICS_VALUES = 64
"""Least values per channel behind a BatchNorm's variance: one image of 1 x 1 pixel has none."""
_RESCALINGS = 8
"""A skip connection passes an rms of 1 on, however small its branch: the branch settles at a third of it."""


class BlockPool:
    """Builds each distinct primitive once, in evaluation mode, with weights that keep signals at their size.

    Untouched random weights shrink a MobileNetV3's output to 1e-7, where every absolute tolerance passes. So
    BatchNorm's statistics are those of random input, its affine is random, and the last layer is scaled until the
    block maps an rms of 1 to about 1.

    Args:
        space: Whose primitives to build.
        seed: Together with the primitive, decides its weights: the order of requests does not matter.
    """

    def __init__(self, space: SearchSpace[Any], seed: int) -> None:
        self._space = space
        self._seed = seed
        self._blocks: dict[Primitive, nn.Module] = {}

    def block(self, primitive: Primitive) -> nn.Module:
        """Return the one module of `primitive`.

        Raises:
            PrimitiveError: If the space cannot build it.
        """
        if primitive not in self._blocks:
            text = f"{self._seed}:{canonical_json(primitive.to_dict())}"
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1  # torch takes 63 bits
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.default_generator.manual_seed(seed)
                module = self._space.block(primitive).requires_grad_(False)
                _calibrate(module, primitive)
            self._blocks[primitive] = module
        return self._blocks[primitive]

    def modules(self, network: Network) -> list[nn.Module]:
        """Return the blocks of `network` in execution order; equal primitives are the same module."""
        return [self.block(primitive) for primitive in network.primitives]


def _calibrate(module: nn.Module, primitive: Primitive) -> None:
    """Make `module` map random input of rms 1 to output of rms about 1, and leave it in evaluation mode."""
    images = math.ceil(_STATISTICS_VALUES / primitive.out_size**2)
    features = torch.randn(images, primitive.C, primitive.spatial_size, primitive.spatial_size)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # the next pass sets the statistics, and no trace of the initial ones is left
        if norm.affine:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0.0, 0.2)
    module.train()
    module(features)
    module.eval()
    layers = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d | nn.Conv2d | nn.Linear)]
    if not layers:
        return  # pooling has nothing to scale
    for _ in range(_RESCALINGS):
        rms = _rms(module(features))
        if rms > 0:  # a block whose output is all zeros stays as it is
            _divide_output(layers[-1], rms)


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _divide_output(layer: nn.BatchNorm2d | nn.Conv2d | nn.Linear, divisor: float) -> None:
    """Make `layer` answer its present output divided by `divisor`."""
    if isinstance(layer, nn.BatchNorm2d) and not layer.affine:
        if layer.running_var is not None:
            layer.running_var.mul_(divisor**2)
        return
    layer.weight.div_(divisor)
    if layer.bias is not None:
        layer.bias.div_(divisor)
