"""`latpred profile --select`: measures, fits and chooses on this machine; how well is not tested here."""

import re

import pytest
from measured import make_measured, tiny_space

from latpred.cli import main
from latpred.dataset import Dataset
from latpred.spaces import space_yaml


@pytest.fixture(scope="module")
def prof_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    (folder / "space.yaml").write_text(space_yaml(tiny_space()))
    (folder / "device.yaml").write_text("device: {}\nmeasuring: {min_warmup_s: 0, max_warmup_s: 0}\n")
    words = ["genprof", f"{folder}/space.yaml", "--out", f"{folder}/prof", "--num-sample", "25", "--seed", "0"]
    assert main(words) == 0
    return folder / "prof"


@pytest.fixture
def profile(prof_dir, tmp_path, capsys):
    """Profile into `tmp_path / "cpu"`; returns the exit code, what was printed, and the error."""

    def call(*options):
        words = ["profile", prof_dir, "--device", prof_dir.parent / "device.yaml", "--dataset", tmp_path / "cpu"]
        capsys.readouterr()
        code = main([str(word) for word in (*words, "--rounds", "2", *options)])
        out, err = capsys.readouterr()
        return code, out, err.removeprefix("latpred: error: ").strip()

    return call


@pytest.mark.slow
def test_all_candidates_are_measured_where_nothing_is_good_enough(profile, tmp_path):
    """Then the learning curve has a line for each batch of 5; started again, all is there already."""
    words = ["--select", "ivr", "--until-mape", "0.0001%", "--budget", "5min", "--seed", "1"]
    code, out, err = profile(*words)
    assert (code, err) == (0, "")
    assert "no sources: the structure of the networks stands alone" in out
    assert "10 random networks are held out; bounds are of 90 % confidence" in out
    assert re.findall(r"^(\d+) networks: MAPE [\d.]+ %, at most [\d.]+ %$", out, re.MULTILINE) == ["5", "10", "15"]
    assert "not reached: MAPE of at most 0.0001 %: all candidates are measured" in out
    assert re.search(r"^      10 +[\d.]+ +[\d.]+ +[\d.]+$", out, re.MULTILINE)
    assert re.search(r"^      15 +[\d.]+ +[\d.]+$", out, re.MULTILINE)
    assert re.search(r"^random networks needed for [\d.]+ %: ", out, re.MULTILINE)
    assert re.search(r"^noise floor: labels are known to [\d.]+ %; no predictor can be told", out, re.MULTILINE)
    assert f"next: latpred transfer --dataset {tmp_path / 'cpu'} --out" in out
    visited = Dataset.open(tmp_path / "cpu").visited()
    assert len({network_id for network_id, _ in visited}) == 25
    runs = len(Dataset.open(tmp_path / "cpu").read().runs)
    code, again, _ = profile(*words)
    assert code == 0
    assert len(Dataset.open(tmp_path / "cpu").read().runs) == runs
    assert again.splitlines()[-1] == out.splitlines()[-1]


@pytest.mark.slow
def test_it_stops_early_where_little_is_asked_for(profile, tmp_path):
    make_measured(tmp_path / "other", tiny_space(), networks=40, assembled=False)
    code, out, _ = profile("--select", "ivr", "--until-mape", "99.9%", "--sources", tmp_path / "other")
    assert code == 0
    assert "reached: MAPE of at most 99.9 %: the bound is below what was asked for" in out
    assert f"next: latpred transfer --sources {tmp_path / 'other'} --dataset {tmp_path / 'cpu'}" in out
    assert len({network_id for network_id, _ in Dataset.open(tmp_path / "cpu").visited()}) < 25


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--select", "ivr"], "--select: expected it together with --until-mape, found one alone"),
        (["--until-mape", "3%"], "--select: expected it together with --until-mape, found one alone"),
        (["--sources", "a"], "--sources: expected it with --select, found it alone"),
        (["--select", "ivr", "--until-mape", "3%%"], "--until-mape: expected a share such as 3% or 0.03, found '3%%'"),
        (
            ["--select", "ivr", "--until-mape", "100%"],
            "--until-mape: expected a share such as 3% or 0.03, found",
        ),
        (["--select", "ivr", "--until-mape", "3%", "--budget", "9"], "--budget: expected a duration such as 90s"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_measured(profile, tmp_path, words, expected):
    code, _, err = profile(*words)
    assert code == 2
    assert err.startswith(expected)
    assert not (tmp_path / "cpu").exists()
