import pytest

from latpred.graph import block_of


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("b00/Conv", 0),
        ("b07/body/expand/Conv", 7),
        ("b12/body.expand.weight", 12),
        ("b123/output", 123),
        ("b07/body/expand/Conv_output_0_nchwc", 7),
        ("b07/body/expand/Conv/WithoutBiases", 7),
        ("image_abcd_acdb_b01/Conv/WithoutBiases", 1),
        ("b03/Conv,b04/Relu", 3),
        ("b03/b12/Conv", 3),
        ("image", None),
        ("output", None),
        ("ReorderInput_token_7", None),
        ("b7/Conv", None),
        ("sub07/Conv", None),
        ("b07", None),
        ("", None),
    ],
)
def test_the_block_of_a_name(name, block):
    assert block_of(name) == block
