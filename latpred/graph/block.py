"""One block as ONNX."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from torch import nn

from latpred.errors import ProfilingError
from latpred.primitive import Primitive

OPSET = 17
"""Old enough for the tools of most devices, new enough for the operators of all block types."""
BLOCK_INPUT, BLOCK_OUTPUT = "input", "output"


def export_block(
    module: nn.Module, primitive: Primitive, batch: int, where: str, *, keep_norms: bool = False
) -> onnx.ModelProto:
    """Export a block that maps [batch, C, spatial_size, spatial_size] to another such tensor.

    This is the exporter that PyTorch calls legacy: it takes 20 ms for a block, where its successor takes a second, and
    a space has hundreds of blocks; it also names nodes by the path of their module. Whoever changes to the other one
    changes latencies: that makes a ReduceMean of what is a GlobalAveragePool here.

    Args:
        module: In eval mode.
        primitive: Tells the input's shape.
        batch: Images per pass.
        where: The block, for the error.
        keep_norms: Leave merging the norms into the convolutions to the device's compiler.

    Raises:
        ProfilingError: If it cannot be exported.
    """
    image = torch.zeros(batch, primitive.C, primitive.spatial_size, primitive.spatial_size)
    exported = io.BytesIO()
    mode = torch.onnx.TrainingMode.PRESERVE if keep_norms else torch.onnx.TrainingMode.EVAL  # EVAL merges them
    try:
        with _quiet():
            torch.onnx.export(
                module,
                (image,),
                exported,  # type: ignore[arg-type] # a buffer will do, whatever the annotation says
                dynamo=False,
                opset_version=OPSET,
                input_names=[BLOCK_INPUT],
                output_names=[BLOCK_OUTPUT],
                training=mode,
            )
        return onnx.load_model_from_string(exported.getvalue())
    except Exception as error:  # a block is anybody's code
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise ProfilingError(where, f"expected a form in ONNX, got {found}", "Mend the block") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter: its deprecation, and its doubts about a trace, which the runtime's output will answer."""
    # The exporter switches its log on even where nobody asked for it, and then prints blocks that it cannot export.
    log = getattr(torch._C, "_jit_onnx_log", None)
    torch._C._jit_onnx_log = lambda *_: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if log is not None:
            torch._C._jit_onnx_log = log
