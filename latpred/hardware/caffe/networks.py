"""Networks as Caffe models, put together from their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import text_format
from torch import nn

from latpred.errors import ProfilingError
from latpred.hardware.caffe.block_graph import INPUT as BLOCK_INPUT
from latpred.hardware.caffe.convert import CaffeBlock, convert_block
from latpred.hardware.caffe.dialects import DIALECTS
from latpred.hardware.caffe.layer import CaffeLayer
from latpred.hardware.caffe.messages import Messages
from latpred.network import Network
from latpred.primitive import Primitive

INPUT = "data"
"""What every network calls its input."""
_COLORS = 3


class CaffeModel(NamedTuple):
    """A network in Caffe's format."""

    prototxt: str
    """Its layers."""
    caffemodel: bytes
    """Their weights."""
    layers: tuple[tuple[str, ...], ...]
    """For each block, the names of its layers in execution order."""
    calibrated: bool
    """Whether the model has a layer that reads images."""


class Calibration(NamedTuple):
    """The images that a fixed-point tool runs a network on; for latencies, any will do."""

    source: str
    """A text file on the tool's machine: a path of an image and a number, which is not used, on each line."""
    folder: str = ""
    """What the paths begin with, its last `/` included."""


class CaffeNetworks:
    """Makes the Caffe models of networks; a block that several networks share is converted once.

    A network's input is `data`, [batch, C, size, size] of its first primitive. Each layer begins with the position of
    its block, `b07_`, and goes on with the path that it has in ONNX; the same network gives the same bytes.

    Blocks are read from their ONNX form, as all of PyTorch's ways to say one thing end there in one operator, with
    its shapes known, and anybody's block has that form. Their norms are kept, which `latpred.graph` merges.

    Args:
        dialect: One of `DIALECTS`.
        batch: Images per pass.
        calibration: For dialects that read images.

    Raises:
        ValueError: If there is no such dialect, or the batch is no number of images.
    """

    def __init__(self, dialect: str, batch: int = 1, calibration: Calibration | None = None) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f"dialect must be one of {', '.join(sorted(DIALECTS))}, got {dialect!r}")
        if batch < 1:
            raise ValueError(f"batch must be an integer >= 1, got {batch!r}")
        self._dialect, self._batch = DIALECTS[dialect], batch
        self._calibration = calibration if self._dialect.calibrated else None
        self._messages = Messages(dialect)
        self._blocks: dict[tuple[Primitive, nn.Module], CaffeBlock] = {}

    def network(self, name: str, network: Network, modules: Sequence[nn.Module]) -> CaffeModel:
        """Return the model of `network`.

        Args:
            name: Of the model.
            network: What the modules make up, one after the other.
            modules: Of its primitives, in eval mode and in execution order.

        Raises:
            ProfilingError: If there is not one module for each primitive, a block cannot be expressed, or it cannot
                follow the one before it, naming the block.
        """
        if len(modules) != len(network.primitives):
            problem = f"expected a block for each of {len(network.primitives)} primitives, found {len(modules)}"
            raise ProfilingError(f"network {name}", problem, "Mend the space's `build` or `block`")
        blocks: list[tuple[CaffeLayer, ...]] = []
        bottom, given = INPUT, None
        for position, (primitive, module) in enumerate(zip(network.primitives, modules, strict=True)):
            where = f"block {position} ({primitive})"
            block = self._block(primitive, module, where)
            if given not in (None, block.shapes[0]):
                problem = (
                    f"expected an input of {block.shapes[0]} as its primitive says, the block before it gives {given}"
                )
                raise ProfilingError(where, problem, "Mend the space")
            prefix = f"b{position:02d}_"
            blocks.append(tuple(layer.named(prefix, {BLOCK_INPUT: bottom}) for layer in block.layers))
            bottom, given = bottom if block.output == BLOCK_INPUT else prefix + block.output, block.shapes[1]
        layers = [layer for block_layers in blocks for layer in block_layers]
        if not layers:
            raise ProfilingError(f"network {name}", "expected a layer, found blocks that do nothing", "Leave it out")
        images = self._images(network.primitives[0])
        return CaffeModel(
            prototxt=self._prototxt(name, layers, network.primitives[0], images),
            caffemodel=self._caffemodel(name, layers),
            layers=tuple(tuple(layer.name for layer in block_layers) for block_layers in blocks),
            calibrated=images is not None,
        )

    def _block(self, primitive: Primitive, module: nn.Module, where: str) -> CaffeBlock:
        key = (primitive, module)
        if key not in self._blocks:
            self._blocks[key] = convert_block(module, primitive, self._batch, self._dialect, where)
        return self._blocks[key]

    def _prototxt(
        self, name: str, layers: Sequence[CaffeLayer], first: Primitive, images: dict[str, Any] | None
    ) -> str:
        """Return the text form, without weights."""
        net = self._messages.net(name)
        shape = [{"dim": [self._batch, first.C, first.spatial_size, first.spatial_size]}]
        source: dict[str, Any] = {"name": INPUT, "type": "Input", "top": [INPUT], "input_param": {"shape": shape}}
        if images is not None:
            net.layer.add(**images)
            source["include"] = [{"phase": "TEST"}]
        net.layer.add(**source)
        for layer in layers:
            net.layer.add(**layer.head(), **layer.parameters)
        return str(text_format.MessageToString(net))

    def _caffemodel(self, name: str, layers: Sequence[CaffeLayer]) -> bytes:
        """Return the binary form: the weights by their layers; parameters are in the text, where readers take them."""
        net = self._messages.net(name)
        for layer in layers:
            blobs = [{"data": _little_endian(blob), "shape": {"dim": blob.shape}} for blob in layer.blobs]
            net.layer.add(**layer.head(), blobs=blobs)
        return bytes(net.SerializeToString(deterministic=True))

    def _images(self, first: Primitive) -> dict[str, Any] | None:
        """Return the layer that reads images to calibrate with; None where there is none, or a block takes no image."""
        if self._calibration is None or first.C != _COLORS:
            return None
        size = first.spatial_size
        source, folder = self._calibration
        images = {"source": source, "root_folder": folder, "batch_size": self._batch, "shuffle": False}
        return {
            "name": INPUT,
            "type": "ImageData",
            "top": [INPUT, "label"],
            "include": [{"phase": "TRAIN"}],  # with two layers of one name, a reader takes the one of its phase
            "image_data_param": images | {"new_height": size, "new_width": size},
        }


def _little_endian(blob: np.ndarray[Any, Any]) -> bytes:
    return blob.astype("<f4", copy=False).tobytes()
