"""Caffe's file format: the messages that latpred writes, as classes that are made at run time.

Only names, numbers and types of fields stand here, which are facts of the format; whoever has Caffe's own classes can
read the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from latpred.hardware.caffe.dialects import DIALECTS

_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "NetParameter": ("name 1 string", "layer 100 LayerParameter*"),
        "LayerParameter": (
            "name 1 string",
            "type 2 string",
            "bottom 3 string*",
            "top 4 string*",
            "blobs 7 BlobProto*",
            "include 8 NetStateRule*",
            "concat_param 104 ConcatParameter",
            "convolution_param 106 ConvolutionParameter",
            "eltwise_param 110 EltwiseParameter",
            "image_data_param 115 ImageDataParameter",
            "inner_product_param 117 InnerProductParameter",
            "pooling_param 121 PoolingParameter",
            "power_param 122 PowerParameter",
            "relu_param 123 ReLUParameter",
            "softmax_param 125 SoftmaxParameter",
            "reshape_param 133 ReshapeParameter",
            "batch_norm_param 139 BatchNormParameter",
            "scale_param 142 ScaleParameter",
            "input_param 143 InputParameter",
        ),
        "BlobShape": ("dim 1 int64*",),
        # Packed floats in the format; on the wire those are the bytes of an array, which need no list of numbers.
        "BlobProto": ("data 5 bytes", "shape 7 BlobShape"),
        "NetStateRule": ("phase 1 Phase",),
        "BatchNormParameter": ("use_global_stats 1 bool", "eps 3 float"),
        "ConcatParameter": ("axis 2 int32",),
        "ConvolutionParameter": (
            "num_output 1 uint32",
            "bias_term 2 bool",
            "pad 3 uint32*",
            "kernel_size 4 uint32*",
            "group 5 uint32",
            "stride 6 uint32*",
            "dilation 18 uint32*",
        ),
        "EltwiseParameter": ("operation 1 EltwiseOp", "coeff 2 float*"),
        "ImageDataParameter": (
            "source 1 string",
            "batch_size 4 uint32",
            "shuffle 8 bool",
            "new_height 9 uint32",
            "new_width 10 uint32",
            "root_folder 12 string",
        ),
        "InnerProductParameter": ("num_output 1 uint32", "bias_term 2 bool"),
        "InputParameter": ("shape 1 BlobShape*",),
        "PoolingParameter": (
            "pool 1 PoolMethod",
            "kernel_size 2 uint32",
            "stride 3 uint32",
            "pad 4 uint32",
            "kernel_h 5 uint32",
            "kernel_w 6 uint32",
            "stride_h 7 uint32",
            "stride_w 8 uint32",
            "pad_h 9 uint32",
            "pad_w 10 uint32",
            "global_pooling 12 bool",
        ),
        "PowerParameter": ("scale 2 float", "shift 3 float"),
        "ReLUParameter": ("negative_slope 1 float",),
        "ReshapeParameter": ("shape 1 BlobShape",),
        "ScaleParameter": ("axis 1 int32", "num_axes 2 int32", "bias_term 4 bool"),
        "SoftmaxParameter": ("axis 2 int32",),
    }
)
"""`name number type` of each message's fields; `*` marks what is repeated."""
_ENUMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "EltwiseOp": ("PROD", "SUM", "MAX"),
        "Phase": ("TRAIN", "TEST"),
        "PoolMethod": ("MAX", "AVE"),
        "RoundMode": ("CEIL", "FLOOR"),
    }
)
"""Their values, which count from 0."""
_PACKAGE = "caffe"


class Messages:
    """The classes of one dialect's messages; a field that it does not have is refused when a message is made.

    Args:
        dialect: One of `DIALECTS`.
    """

    def __init__(self, dialect: str) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(_file(DIALECTS[dialect].fields).SerializeToString())
        self._net = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.NetParameter"))

    def net(self, name: str) -> Any:  # noqa: ANN401 - the class is made at run time
        """Return a NetParameter without layers; `net.layer.add(...)` takes fields, also those of messages within."""
        return self._net(name=name)

    def from_text(self, prototxt: str) -> Any:  # noqa: ANN401 - as above
        """Read the NetParameter in a `.prototxt`.

        Raises:
            google.protobuf.text_format.ParseError: If it has a field that this dialect has not.
        """
        return text_format.Parse(prototxt, self._net())

    def from_bytes(self, caffemodel: bytes) -> Any:  # noqa: ANN401 - as above
        """Read the NetParameter in a `.caffemodel`."""
        return self._net.FromString(caffemodel)


def _file(more: Mapping[str, tuple[str, ...]]) -> descriptor_pb2.FileDescriptorProto:
    """Describe all messages; an enumeration has a scope of its own, as both poolings and sums have a `MAX`."""
    file = descriptor_pb2.FileDescriptorProto(name="latpred_caffe.proto", package=_PACKAGE, syntax="proto2")
    for enum, values in _ENUMS.items():
        scope = file.message_type.add(name=f"{enum}Scope").enum_type.add(name=enum)
        for number, value in enumerate(values):
            scope.value.add(name=value, number=number)
    for message in sorted({*_FIELDS, *more}):
        described = file.message_type.add(name=message)
        for field in (*_FIELDS.get(message, ()), *more.get(message, ())):
            _add_field(described, field)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, text: str) -> None:
    name, number, kind = text.split()
    described = descriptor_pb2.FieldDescriptorProto
    repeated, kind = kind.endswith("*"), kind.rstrip("*")
    label = described.LABEL_REPEATED if repeated else described.LABEL_OPTIONAL
    field = message.field.add(name=name, number=int(number), label=label)
    if kind in _ENUMS:
        field.type, field.type_name = described.TYPE_ENUM, f".{_PACKAGE}.{kind}Scope.{kind}"
    elif kind[0].isupper():
        field.type, field.type_name = described.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = described.Type.Value(f"TYPE_{kind.upper()}")
    if repeated and kind == "int64":
        field.options.packed = True  # the sizes of blobs are, in Caffe's own files
