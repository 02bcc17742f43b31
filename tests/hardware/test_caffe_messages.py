"""The messages are Caffe's: by its field numbers on the wire, and by each dialect's words in the text."""

import struct

import pytest
from google.protobuf import text_format

from latpred.hardware.caffe import DIALECTS, Messages


def test_the_bytes_are_those_of_the_format():
    messages = Messages("bvlc")
    net = messages.net("n")
    weights = struct.pack("<2f", 1.0, -2.0)
    net.layer.add(name="l", type="Scale", bottom=["a"], top=["l"], blobs=[{"data": weights, "shape": {"dim": [2]}}])
    # by hand: a key is (number << 3 | 2), then the length; number 100 takes two bytes, the least significant first
    blob = b"\x2a\x08" + weights + b"\x3a\x03" + b"\x0a\x01\x02"  # data = 5, shape = 7 { dim = 1, packed }
    layer = b"\x0a\x01l" + b"\x12\x05Scale" + b"\x1a\x01a" + b"\x22\x01l" + b"\x3a" + bytes([len(blob)]) + blob
    expected = b"\x0a\x01n" + b"\xa2\x06" + bytes([len(layer)]) + layer
    assert net.SerializeToString(deterministic=True) == expected
    assert messages.from_bytes(expected) == net


@pytest.mark.parametrize(
    ("dialect", "known", "unknown"),
    [
        ("bvlc", ["round_mode: FLOOR"], ["ceil_mode: false"]),
        ("opencv", ["ceil_mode: false"], ["round_mode: FLOOR"]),
        ("xilinx", [], ["ceil_mode: false", "round_mode: FLOOR"]),
    ],
)
def test_each_dialect_has_its_own_word_for_rounding(dialect, known, unknown):
    text = 'layer {{ name: "p" type: "Pooling" pooling_param {{ pool: AVE {} }} }}'
    for word in known:
        assert Messages(dialect).from_text(text.format(word)).layer[0].pooling_param.pool == 1
    for word in unknown:
        with pytest.raises(text_format.ParseError, match=word.partition(":")[0]):
            Messages(dialect).from_text(text.format(word))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_bvlcs_caffe_has_clip(dialect):
    text = 'layer { name: "c" type: "Clip" clip_param { min: 0 max: 6 } }'
    if dialect == "bvlc":
        assert Messages(dialect).from_text(text).layer[0].clip_param.max == 6
    else:
        with pytest.raises(text_format.ParseError, match="clip_param"):
            Messages(dialect).from_text(text)


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="num_outputs"):
        Messages("opencv").net("n").layer.add(convolution_param={"num_outputs": 3})
