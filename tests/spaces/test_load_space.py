"""Spaces from YAML, cards and entry points."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from latpred.card import SpaceCard
from latpred.errors import ConfigError
from latpred.spaces import load_space, space_from_card, space_yaml
from latpred.spaces.mnasnet_ofa import MNasNetOFA

ROOT = Path(__file__).parents[2]


def write(folder, text):
    (folder / "space.yaml").write_text(text)
    return folder / "space.yaml"


def test_the_shipped_reference_is_the_default():
    space = load_space(str(ROOT / "configs/spaces/mnasnet_ofa_112.yaml"))
    assert space.card() == MNasNetOFA().card()
    assert len(space.vocabulary()) == 92


def test_the_shipped_head_adds_four_blocks():
    space = load_space(ROOT / "configs/spaces/mnasnet_ofa_112_head.yaml")
    assert len(space.vocabulary()) == 96
    assert space.slots == 26
    assert {k: v for k, v in space.parameters.items() if k != "fixed_primitives"} == {
        k: v for k, v in MNasNetOFA().parameters.items() if k != "fixed_primitives"
    }


def test_a_space_without_parameters_has_the_defaults(tmp_path):
    assert load_space(write(tmp_path, "space: mnasnet_ofa\n")).card() == MNasNetOFA().card()


def test_yaml_and_card_give_the_space_back(tmp_path):
    space = MNasNetOFA(image_size_choice=(300, 75), fixed_primitives=[{"prim_type": "conv_1x1", "C_out": 8}])
    text = space_yaml(space)
    assert yaml.safe_load(text) == {"space": "mnasnet_ofa", "parameters": space.parameters}
    assert load_space(write(tmp_path, text)).card() == space.card()
    assert space_from_card(space.card()).vocabulary() == space.vocabulary()


WRONG = {
    "unknown space": (
        "space: mnasnet\n",
        r"expected one of the spaces fbnet, mnasnet_ofa, nasbench201, ssd_ofa, found 'mnasnet'. "
        "Correct the name, or install the package",
    ),
    "no space": ("parameters: {}\n", "expected the key 'space', found parameters"),
    "misspelt key": (
        "space: mnasnet_ofa\nparameter: {}\n",
        "unknown key 'parameter', expected one of parameters, space",
    ),
    "misspelt parameter": (
        "space: mnasnet_ofa\nparameters: {kernel_choices: [3]}\n",
        "unknown key 'kernel_choices', expected one of",
    ),
    "wrong type": ("space: mnasnet_ofa\nparameters: {stem_stride: two}\n", "stem_stride"),
    "wrong range": (
        "space: mnasnet_ofa\nparameters: {kernel_choice: [4]}\n",
        "kernel_choice[0] must be an odd integer >= 1, got 4",
    ),
    "list of parameters": (
        "space: mnasnet_ofa\nparameters: [1]\n",
        "expected the parameters to be a mapping, found list",
    ),
    "no mapping": ("- mnasnet_ofa\n", "expected a mapping, found list"),
    "a list as name": (
        "space: [a]\n",
        "expected one of the spaces fbnet, mnasnet_ofa, nasbench201, ssd_ofa, found ['a']",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_refused_with_its_path(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: .*{re.escape(message)}") as error:
        load_space(path)
    assert "\n" not in str(error.value)


def test_the_nearest_key_is_offered(tmp_path):
    with pytest.raises(ConfigError, match="Perhaps 'kernel_choice' was meant"):
        load_space(write(tmp_path, "space: mnasnet_ofa\nparameters: {kernel_choices: [3]}\n"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: expected a YAML file, found nothing there"):
        load_space(tmp_path / "nowhere.yaml")


def test_a_card_of_an_unknown_space_is_refused():
    with pytest.raises(
        ConfigError,
        match="card of the space 'lost': "
        "expected one of the spaces fbnet, mnasnet_ofa, nasbench201, ssd_ofa, found 'lost'",
    ):
        space_from_card(SpaceCard("lost", {}))


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs the example as a package with an entry point, for the time of a test."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "vgg_package.py").write_text((ROOT / "examples/new_space.py").read_text())

    def add(point, value, package="vgg_package"):
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[latpred.spaces]\n{point} = {value}\n")
        return site

    monkeypatch.syspath_prepend(site)
    yield add
    sys.modules.pop("vgg_package", None)


LOADER = """
import sys
from random import Random
from latpred.spaces import load_space, space_names
space = load_space(sys.argv[1])
print(space_names(), type(space).__module__, space.slots, len(space.primitives(space.sample(Random(0)))) > 0)
"""


@pytest.mark.slow
def test_a_space_comes_from_an_installed_package(install, tmp_path):
    site = install("small_vgg", "vgg_package:SmallVGG")
    config = write(tmp_path, "space: small_vgg\nparameters: {image_size: 30}\n")
    code = f"import sys; sys.path[:0] = [{str(site)!r}, {str(ROOT)!r}]\n{LOADER}"
    done = subprocess.run([sys.executable, "-c", code, config], capture_output=True, text=True, check=True)
    assert done.stdout == "['fbnet', 'mnasnet_ofa', 'nasbench201', 'small_vgg', 'ssd_ofa'] vgg_package 8 True\n"


def test_a_package_cannot_take_a_name_of_latpreds_own(install, tmp_path):
    install("mnasnet_ofa", "vgg_package:SmallVGG")
    assert isinstance(load_space(write(tmp_path, "space: mnasnet_ofa\n")), MNasNetOFA)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("vgg_package:SmallVGG", "expected vgg_package:SmallVGG to be a SearchSpace whose name is 'other'"),
        (
            "vgg_package:Lost",
            "expected the space 'other' in vgg_package:Lost, got: module 'vgg_package' has no attribute",
        ),
        ("lost_package:Lost", "expected the space 'other' in lost_package:Lost, got: No module named 'lost_package'"),
        ("vgg_package:Stage", "expected vgg_package:Stage to be a SearchSpace whose name is 'other', found <class"),
    ],
)
def test_a_broken_package_is_named(install, tmp_path, value, message):
    install("other", value)
    with pytest.raises(ConfigError, match=rf"space\.yaml: {message}"):
        load_space(write(tmp_path, "space: other\n"))


def test_two_packages_with_one_name_are_refused(install, tmp_path):
    install("small_vgg", "vgg_package:SmallVGG")
    install("small_vgg", "other_package:SmallVGG", package="other_package")
    message = "expected one space named 'small_vgg', found other_package:SmallVGG, vgg_package:SmallVGG"
    with pytest.raises(ConfigError, match=message):
        load_space(write(tmp_path, "space: small_vgg\n"))


def test_the_example_runs_and_prints_its_primitives(capsys):
    runpy.run_path(str(ROOT / "examples/new_space.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.startswith("space small_vgg: 36 primitives, encodings of 8 slots\n")
    assert "sep_conv 32px 32->32 s2 k3: 0.67 MFLOPs, 1376 parameters" in printed
