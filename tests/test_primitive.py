"""The primitive: its flat form, its order, and what no block can be."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from latpred.errors import PrimitiveError
from latpred.primitive import Primitive, downsampled

FLAT = {"prim_type": "dw", "spatial_size": 7, "C": 4, "C_out": 8, "stride": 2, "kernel_size": 5}
OPTIONS = {"use_se": True, "expansion": 6}
BLOCK = Primitive("dw", 7, 4, 8, 2, 5, '{"expansion":6,"use_se":true}')


def test_the_flat_form_goes_there_and_back():
    flat = OPTIONS | FLAT
    before = copy.deepcopy(flat)
    assert Primitive.from_dict(flat) == BLOCK
    assert flat == before
    assert BLOCK.to_dict() == flat
    assert BLOCK.options == OPTIONS


def test_stride_and_kernel_have_defaults():
    flat = {"prim_type": "pool", "spatial_size": 7, "C": 4, "C_out": 4}
    assert Primitive.from_dict(flat) == Primitive("pool", 7, 4, 4, stride=1, kernel_size=1, kwargs="{}")


def test_equal_fields_are_one_primitive_in_sets():
    assert len({BLOCK, Primitive.from_dict(FLAT | OPTIONS)}) == 1
    assert len({BLOCK, replace(BLOCK, kwargs="{}")}) == 2


def test_primitives_sort_by_their_fields_in_order():
    first = Primitive("a", 8, 9, 9)
    expected = [first, replace(first, C_out=10), replace(first, C=10, C_out=1), replace(first, spatial_size=10, C=1)]
    mixed = [expected[i] for i in (2, 0, 3, 1)]
    assert sorted(mixed) == expected
    assert max(expected) < Primitive("b", 1, 1, 1)


def test_the_short_form_names_size_channels_and_options():
    assert str(BLOCK) == "dw 7px 4->8 s2 k5 expansion=6 use_se=True"
    assert str(Primitive("pool", 7, 4, 4)) == "pool 7px 4->4 s1 k1"


@pytest.mark.parametrize(("size", "stride", "expected"), [(8, 1, 8), (8, 2, 4), (7, 2, 4), (75, 2, 38), (1, 2, 1)])
def test_the_output_size_is_the_ceiling(size, stride, expected):
    assert downsampled(size, stride) == expected
    assert Primitive("dw", size, 1, 1, stride).out_size == expected


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"spatial_size": 0}, "primitive dw: expected spatial_size to be an integer >= 1, found 0"),
        ({"C": 1.5}, "expected C to be an integer >= 1, found 1.5"),
        ({"C_out": True}, "expected C_out to be an integer >= 1, found True"),
        ({"stride": "2"}, "expected stride to be an integer >= 1, found '2'"),
        ({"kernel_size": None}, "expected kernel_size to be an integer >= 1, found None"),
        ({"prim_type": ""}, "primitive: expected prim_type to be a name, found ''"),
        ({"prim_type": None}, "expected prim_type to be a name, found None"),
        ({"rate": float("nan")}, "somewhere: expected names and JSON values beside the fields, found {'rate': nan}"),
        ({"rate": {1, 2}}, r"somewhere: expected names and JSON values beside the fields, found {'rate': {1, 2}}"),
        ({"kwargs": {"expansion": 6}}, "expected kwargs to be a mapping as canonical JSON, without fields, found"),
    ],
)
def test_what_is_no_block_is_refused(changed, message):
    with pytest.raises(PrimitiveError, match=message):
        Primitive.from_dict(FLAT | changed, "somewhere")


@pytest.mark.parametrize(
    "kwargs", ['{"b":1,"a":2}', '{"a": 1}', "[1]", "expansion", '{"C":3}', '{"a":NaN}', "", None, {"a": 1}]
)
def test_two_texts_for_the_same_arguments_are_refused(kwargs):
    with pytest.raises(
        PrimitiveError, match="primitive dw: expected kwargs to be a mapping as canonical JSON"
    ) as error:
        Primitive("dw", 7, 4, 8, kwargs=kwargs)
    assert f"found {kwargs!r}. Make it with latpred.config.canonical_json." in str(error.value)


def test_missing_fields_are_named_with_their_place():
    with pytest.raises(
        PrimitiveError, match=r"net\.yaml: expected a primitive with spatial_size, C_out, found {'prim_type'"
    ):
        Primitive.from_dict({"prim_type": "dw", "C": 3}, "net.yaml")
