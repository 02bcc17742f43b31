"""`latpred import awnas-config`: the file it writes and what it tells."""

from pathlib import Path

from latpred.cli import main
from latpred.spaces import load_space

CONFIG = """
search_space_type: ofa_mixin
search_space_cfg: {width_choice: [3, 6], depth_choice: [2, 3], kernel_choice: [3, 5]}
"""
HARDWARE = """
mixin_search_space_type: ofa_mixin
mixin_search_space_cfg: {fixed_primitives: null}
prof_prims_cfg:
  sample: null
  as_dict: true
  spatial_size: 112
  base_channels: [16, 16, 24, 32, 64, 96, 160, 320, 1280]
  mult_ratio: 1.
  strides: [1, 2, 2, 2, 1, 2]
  acts: [relu, relu, relu, h_swish, h_swish, h_swish]
  use_ses: [false, false, true, false, true, true]
  stem_stride: 2
  primitive_type: mobilenet_v3_block
hwperfmodel_type: lstm
hwperfmodel_cfg:
  preprocessors: [block_sum, remove_anomaly, flatten, extrace_lstm_features]
"""


def command(folder: Path) -> list[str]:
    (folder / "cfg.yaml").write_text(CONFIG)
    (folder / "hw.yaml").write_text(HARDWARE)
    return ["import", "awnas-config", f"{folder}/cfg.yaml", f"{folder}/hw.yaml", "--out", f"{folder}/space.yaml"]


def test_the_space_is_written_and_the_names_are_translated(tmp_path, capsys):
    assert main(command(tmp_path)) == 0
    space = load_space(tmp_path / "space.yaml")
    assert (space.name, len(space.vocabulary())) == ("mnasnet_ofa", 2 + 2 * 2 * 5 * 2)
    assert (tmp_path / "space.yaml").read_text().startswith("# Read from cfg.yaml and hw.yaml of the reference system")
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {tmp_path}/space.yaml: mnasnet_ofa, 42 primitives",
        "note: image_size_choice is [112], the spatial_size that is profiled",
        "preprocessor: block_sum -> block_sum",
        "preprocessor: remove_anomaly -> remove_anomaly",
        "preprocessor: flatten -> flatten",
        "preprocessor: extrace_lstm_features -> lstm_features",
        "model: lstm -> lstm, the run configuration of `latpred genmodel --model lstm`",
        "chain: [block_sum, remove_anomaly, flatten, lstm_features], as data.preprocessors of a run",
        f"next: latpred genprof {tmp_path}/space.yaml --out PROF_DIR",
        "      latpred profile PROF_DIR --device DEVICE.yaml --dataset DATASET",
        f"      latpred genmodel {tmp_path}/space.yaml DATASET --model lstm --out lstm.ts",
    ]


def test_an_existing_file_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "space.yaml").write_text("mine")
    assert main(command(tmp_path)) == 2
    error = capsys.readouterr().err
    assert error == (
        f"latpred: error: {tmp_path}/space.yaml: expected a path where nothing stands for --out, found one. "
        "Choose another.\n"
    )
    assert (tmp_path / "space.yaml").read_text() == "mine"


def test_a_wrong_file_writes_nothing(tmp_path, capsys):
    arguments = command(tmp_path)
    (tmp_path / "hw.yaml").write_text(HARDWARE.replace("strides", "stride"))
    assert main(arguments) == 2
    assert "hw.yaml: prof_prims_cfg: unknown key 'stride'" in capsys.readouterr().err
    assert not (tmp_path / "space.yaml").exists()
