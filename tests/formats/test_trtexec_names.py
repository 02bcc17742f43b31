import pytest

from latpred.formats.trtexec_names import is_overhead, metadata_nodes, name_nodes


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("Conv_0", ("Conv_0",)),
        ("a/Conv + b/Relu + c/Add", ("a/Conv", "b/Relu", "c/Add")),
        ("a + a", ("a",)),
        ("PWN(/act/Relu)", ("/act/Relu",)),
        ("PWN(PWN(PWN(s), m), /b, 1)", ("s", "m", "/b", "1")),
        ("conv1 + PWN(re_lu_clip)", ("conv1", "re_lu_clip")),
        ("PWN(a + b)", ("a", "b")),
        ("/fc/MatMul + (Unnamed Layer* 19) [Shuffle]", ("/fc/MatMul", "(Unnamed Layer* 19) [Shuffle]")),
        ("{ForeignNode[a + b.../c/Reshape_1 + d]}", ("a", "b", "/c/Reshape_1", "d")),
        ("{ForeignNode[only]}", ("only",)),
        ("{conv1/7x7,conv1/relu,pool}", ("conv1/7x7", "conv1/relu", "pool")),
        ("Conv, with (a + b) in it", ("Conv, with (a + b) in it",)),
        ("a + b [profile 2]", ("a", "b")),
        ("100% a\x1eb", ("100% a\x1eb",)),
        ("", ()),
        ("(" * 5000 + " + a", ("(" * 5000 + " + a",)),
    ],
)
def test_a_name_is_taken_apart(name, nodes):
    assert name_nodes(name) == nodes


@pytest.mark.parametrize(
    "name",
    [
        "Reformatting CopyNode for Input Tensor 0 to a + b",
        "Reformatting CopyNode for Network Output y",
        "[HostToDeviceCopy 0]",
        "data to nvm",
        "data copy finish",
        "loss3/classifier finish",
        "Conv_0 + Relu_1 input reformatter 0",
        "prob output reformatter 1",
    ],
)
def test_copies_are_overhead_and_of_no_node(name):
    assert is_overhead(name)
    assert name_nodes(name) == ()


@pytest.mark.parametrize("name", ["a/reformat", "/b0/Reformatting", "/b0/Concat copy", "finish"])
def test_nodes_of_the_model_are_no_overhead(name):
    assert not is_overhead(name)
    assert name_nodes(name) == (name,)


def test_deep_names_do_not_end_the_process():
    assert name_nodes("PWN(" * 3000 + "a" + ")" * 3000)[0].startswith("PWN(")


@pytest.mark.parametrize(
    ("metadata", "nodes"),
    [
        ("", ()),
        ("no nodes", ()),
        ("[ONNX Layer: a]", ("a",)),
        ("[ONNX Layer: a][ONNX Layer: b]", ("a", "b")),
        ("[ONNX Layer: a]\x1e[ONNX Layer: b]\x1f[ONNX Layer: a]", ("a", "b")),
        ("[ONNX Layer: a[0]]\x1e[ONNX Layer: b", ("a[0]", "b")),
    ],
)
def test_metadata_names_nodes(metadata, nodes):
    assert metadata_nodes(metadata) == nodes
