"""PROF_DIR: written once, the same bytes for the same set, and read back only if it is what it says."""

from __future__ import annotations

import re

import pytest
import yaml

from latpred.errors import ConfigError, UsageError
from latpred.genprof import assemble, read_prof_dir, sampled, write_prof_dir
from latpred.primitive import Primitive
from latpred.spaces import load_space
from latpred.spaces.mnasnet_ofa import MNasNetOFA


@pytest.fixture(scope="module")
def space():
    return MNasNetOFA(image_size_choice=(32,), kernel_choice=(3,), width_choice=(3, 4), depth_choice=(1, 2))


@pytest.fixture(scope="module")
def networks(space):
    return (*assemble(space).networks, *sampled(space, 5, seed=0))


@pytest.fixture
def folder(space, networks, tmp_path):
    write_prof_dir(tmp_path / "prof", space, networks, space.all_primitives())
    return tmp_path / "prof"


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.yaml"))}


def test_what_is_written_is_read(folder, space, networks):
    prof = read_prof_dir(folder)
    assert prof.space.card() == space.card()
    assert prof.networks == tuple(sorted(networks, key=lambda network: network.network_id))
    assert prof.primitives == tuple(sorted(space.all_primitives()))


def test_the_files_have_the_layout_of_the_reference(folder, space, networks):
    names = {f"prof_nets/{network.network_id}.yaml" for network in networks}
    assert set(contents(folder)) == {"space.yaml", "prof_prims.yaml"} | names
    assert [file.name for file in folder.parent.iterdir()] == ["prof"]  # no draft is left
    assert load_space(folder / "space.yaml").card() == space.card()
    flat = yaml.safe_load((folder / "prof_prims.yaml").read_text())
    assert [Primitive.from_dict(fields) for fields in flat] == sorted(space.all_primitives())
    assembled, network = networks[0], networks[-1]
    file = yaml.safe_load((folder / f"prof_nets/{network.network_id}.yaml").read_text())
    assert list(file) == ["architecture", "slots", "roles", "final_model_cfg"]
    assert file["architecture"] == network.architecture
    assert [network.encoding[slot] for slot in file["slots"]] == [i for i in network.encoding if i >= 0]
    assert file["roles"] == ["primitive"] * len(network.primitives)
    assert file["final_model_cfg"] == {"genotypes": [primitive.to_dict() for primitive in network.primitives]}
    file = yaml.safe_load((folder / f"prof_nets/{assembled.network_id}.yaml").read_text())
    assert (file["architecture"], file["slots"], file["roles"]) == (None, None, list(assembled.roles))


def test_the_same_set_gives_the_same_bytes(folder, space, networks, tmp_path):
    write_prof_dir(tmp_path / "again", space, networks[::-1], sorted(space.all_primitives(), reverse=True))
    assert contents(tmp_path / "again") == contents(folder)


def test_an_empty_folder_is_filled_and_parents_are_made(space, networks, tmp_path):
    (tmp_path / "a/empty").mkdir(parents=True)
    write_prof_dir(tmp_path / "a/empty", space, networks[:1], [])
    write_prof_dir(tmp_path / "b/c/new", space, networks[:1], [])
    assert contents(tmp_path / "a/empty") == contents(tmp_path / "b/c/new") != {}


def test_nothing_is_overwritten(folder, space, networks, tmp_path):
    before = contents(folder)
    with pytest.raises(UsageError, match=f"^{re.escape(str(folder))}: expected nothing there yet, found something"):
        write_prof_dir(folder, space, networks[:1], [])
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="file: expected nothing there yet"):
        write_prof_dir(tmp_path / "file", space, networks[:1], [])
    assert contents(folder) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_leaves_nothing_behind(space, networks, tmp_path):
    def failing():
        yield networks[0]
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_prof_dir(tmp_path / "prof", space, failing(), [])
    assert list(tmp_path.iterdir()) == []


def rewritten(folder, network, change):
    """Pass the content of a network's file through `change`; return the file."""
    file = folder / f"prof_nets/{network.network_id}.yaml"
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))
    return file


def first_block(content, **fields):
    content["final_model_cfg"]["genotypes"][0] |= fields


DAMAGED = {
    # which network, what is changed in its file, what the error says
    "architecture": (
        -1,
        lambda c: c["architecture"].update(image_size=33),
        "space mnasnet_ofa: expected image_size to be",
    ),
    "another architecture": (
        -1,
        lambda c: c["architecture"]["width"][1].__setitem__(0, 7),
        "expected width[1][0] to be one",
    ),
    "primitive": (
        -1,
        lambda c: first_block(c, C_out=99),
        "expected final_model_cfg to be what the architecture gives, ",
    ),
    "slots": (-1, lambda c: c.update(slots=[0]), "expected slots to be what the architecture gives, [0, 1, 2"),
    "roles": (-1, lambda c: c["roles"].__setitem__(0, "glue"), "expected roles to be what the architecture gives, "),
    "missing key": (
        -1,
        lambda c: c.pop("slots"),
        "expected the key 'slots', found architecture, final_model_cfg, roles",
    ),
    "unknown key": (-1, lambda c: c.update(note=1), "unknown key 'note'"),
    "assembled: size": (0, lambda c: first_block(c, C_out=99), "expected the network {id}, found "),
    "assembled: type": (0, lambda c: first_block(c, prim_type="warp"), "found 'warp'"),
    "assembled: argument": (0, lambda c: first_block(c, colour=1), "found also colour"),
    "assembled: field": (
        0,
        lambda c: first_block(c, stride="two"),
        "expected stride to be an integer >= 1, found 'two'",
    ),
    "assembled: roles": (0, lambda c: c["roles"].pop(), "expected a role for each of "),
    "assembled: role": (
        0,
        lambda c: c["roles"].__setitem__(0, "gum"),
        "expected roles of primitive or glue, got 'gum'",
    ),
    "assembled: roles no list": (
        0,
        lambda c: c.update(roles=3),
        "expected lists in final_model_cfg.genotypes and roles",
    ),
    "assembled: no blocks": (0, lambda c: c.update(final_model_cfg={}), "expected lists in final_model_cfg.genotypes"),
    "assembled: no model": (0, lambda c: c.update(final_model_cfg=None), "expected lists in final_model_cfg.genotypes"),
    "assembled: empty": (0, lambda c: c.update(final_model_cfg={"genotypes": []}, roles=[]), "at least one primitive"),
    "assembled: text for a block": (
        0,
        lambda c: c["final_model_cfg"]["genotypes"].__setitem__(0, "conv"),
        "expected a primitive, found 'conv'",
    ),
    "assembled: slots": (0, lambda c: c.update(slots=[0]), "expected slots to be what the architecture gives, None"),
}


@pytest.mark.parametrize(("which", "change", "text"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_file_that_contradicts_itself_is_named(folder, networks, which, change, text):
    file = rewritten(folder, networks[which], change)
    text = re.escape(text.format(id=networks[which].network_id))
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: .*{text}") as error:
        read_prof_dir(folder)
    assert "\n" not in str(error.value)


def test_a_renamed_network_is_found_out(folder, networks):
    file = folder / f"prof_nets/{networks[-1].network_id}.yaml"
    file.rename(file.with_name("0123456789abcdef.yaml"))
    message = f"0123456789abcdef.yaml: expected the network 0123456789abcdef, found {networks[-1].network_id}"
    with pytest.raises(ConfigError, match=message):
        read_prof_dir(folder)


def test_a_folder_that_is_no_profiling_set_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: expected a folder that `latpred genprof` wrote, found none"):
        read_prof_dir(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"space\.yaml: expected a YAML file, found nothing there"):
        read_prof_dir(tmp_path)


def test_a_set_without_networks_or_with_other_primitives_is_refused(folder):
    (folder / "prof_prims.yaml").write_text("conv: 1\n")
    with pytest.raises(ConfigError, match=r"prof_prims\.yaml: expected a list, found dict"):
        read_prof_dir(folder)
    for file in (folder / "prof_nets").iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match="prof_nets: expected files of networks, found none"):
        read_prof_dir(folder)
