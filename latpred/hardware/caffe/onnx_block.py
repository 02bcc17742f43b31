"""One block as ONNX whose BatchNorms are still there."""

from __future__ import annotations

import io
import warnings

import onnx
import torch
from torch import nn

from latpred.errors import ProfilingError
from latpred.graph.block import BLOCK_INPUT, BLOCK_OUTPUT, OPSET
from latpred.primitive import Primitive


def export_with_norms(module: nn.Module, primitive: Primitive, batch: int, where: str) -> onnx.ModelProto:
    """Export a block in eval mode, but leave the merging of its convolutions and norms to the device's compiler.

    Args:
        module: In eval mode.
        primitive: Tells the input, [batch, C, spatial_size, spatial_size].
        batch: Images per pass.
        where: The block, for the error.

    Raises:
        ProfilingError: If it cannot be exported.
    """
    image = torch.zeros(batch, primitive.C, primitive.spatial_size, primitive.spatial_size)
    exported = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter is deprecated; `latpred.graph.block` says why it is used
            torch.onnx.export(
                module,
                (image,),
                exported,  # type: ignore[arg-type] # a buffer will do, whatever the annotation says
                dynamo=False,
                opset_version=OPSET,
                input_names=[BLOCK_INPUT],
                output_names=[BLOCK_OUTPUT],
                training=torch.onnx.TrainingMode.PRESERVE,  # EVAL, the default, merges norms into convolutions
            )
        model = onnx.load_model_from_string(exported.getvalue())
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # a block is anybody's code
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise ProfilingError(where, f"expected a form in ONNX, got {found}", "Mend the block") from error
