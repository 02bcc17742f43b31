"""Plain files and configurations: what is read, what is refused, and in which words."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from latpred.config import canonical_json, check_keys, construct, read_yaml, read_yaml_list, write_new
from latpred.errors import ConfigError


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical_json({"b": [1, 2.5], "a": {"d": None, "c": True}}) == '{"a":{"c":true,"d":null},"b":[1,2.5]}'


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([float("nan")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "expected a mapping, found list. Mend the file."),
        ("", "expected a mapping, found NoneType"),
        ("a: [1", "expected YAML, got: .*expected ',' or ']'"),
        ("a: !!python/object/apply:os.getcwd []", "expected YAML, got: could not determine a constructor"),
        ("a: 2024-13-45", "expected YAML, got: month must be in 1..12"),
        (b"a: \xff", "expected a readable YAML file, got: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path, text, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: {message}") as error:
        read_yaml(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"lost\.yaml: expected a YAML file, found nothing there. Check the path"):
        read_yaml(tmp_path / "lost.yaml")
    with pytest.raises(ConfigError, match=r"expected a readable YAML file, got: .*directory"):
        read_yaml_list(tmp_path)


def test_mappings_and_lists_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\n")
    (tmp_path / "b.yaml").write_text("- {a: 1}\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": 1}
    assert read_yaml_list(tmp_path / "b.yaml") == [{"a": 1}]
    with pytest.raises(ConfigError, match=r"a\.yaml: expected a list, found dict"):
        read_yaml_list(tmp_path / "a.yaml")


def test_write_new_writes_once_and_leaves_no_draft(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_new(path, "first")
    with pytest.raises(FileExistsError):
        write_new(path, "second")
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"kernel": 1, "stride": 2}, r"f: unknown key 'kernel', expected one of kernel_size, stride. Perhaps 'kernel_"),
        ({"stride": 1, "x": 2}, "f: unknown key 'x', expected one of kernel_size, stride. Remove it."),
        ({7: 1}, "f: unknown key '7', expected one of"),
        ({"kernel_size": 3}, "f: expected the key 'stride', found kernel_size. Add it."),
        ({}, "f: expected the key 'stride', found nothing. Add it."),
    ],
)
def test_unknown_and_missing_keys_are_named(found, message):
    with pytest.raises(ConfigError, match=message):
        check_keys("f", found, ["stride", "kernel_size"], required=["stride"])


def test_a_missing_key_is_named_among_keys_of_any_type():
    with pytest.raises(ConfigError, match="expected the key 'a', found 1, b"):
        check_keys("f", {1: 0, "b": 0}, ["a", "b", 1], required=["a"])


@dataclass
class Thing:
    """A class as configurations build them."""

    count: int
    name: str = "x"
    share: float = 0.5
    on: bool = False
    sizes: Sequence[int] = (1,)
    version: int | None = None
    kind: Literal["a", "b"] = "a"
    parts: Sequence[dict[str, Any]] = ()
    anything: Any = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must be >= 0, got {self.count}.")


def test_construct_passes_every_key():
    given = {"count": 2, "name": "n", "share": 1, "on": True, "sizes": [1, 2], "version": 3, "kind": "b"}
    assert construct(Thing, given, "f") == Thing(2, "n", 1.0, True, [1, 2], 3, "b")
    assert construct(Thing, {"count": 2}, "f") == Thing(2)


def test_construct_takes_null_where_the_type_has_it():
    thing = construct(Thing, {"count": 1, "version": None, "anything": None, "parts": [{"a": None}]}, "f")
    assert (thing.version, thing.anything, thing.parts) == (None, None, [{"a": None}])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 1, "naem": "y"}, "f: unknown key 'naem', expected one of .*. Perhaps 'name' was meant."),
        ({"name": "y"}, "f: expected the key 'count', found name. Add it."),
        ({"count": None}, "f: expected count to be int, found null. Give a value, or leave the key out"),
        ({"count": 1, "name": None}, "f: expected name to be str, found null"),
        ({"count": 1, "share": None}, "f: expected share to be float, found null"),
        ({"count": 1, "on": None}, "f: expected on to be bool, found null"),
        ({"count": 1, "sizes": None}, r"f: expected sizes to be Sequence\[int\], found null"),
        ({"count": 1, "kind": None}, r"f: expected kind to be Literal\['a', 'b'\], found null"),
        ({"count": 1, "sizes": [1, None]}, r"f: expected sizes to be Sequence\[int\], found \[1, None\]"),
        ({"count": 1, "parts": [None]}, r"f: expected parts to be Sequence\[dict\[str, Any\]\], found \[None\]"),
        ({"count": 1.5}, "f: expected count to be int, found 1.5. Mend the value."),
        ({"count": True}, "f: expected count to be int, found True"),
        ({"count": 1, "name": 5}, "f: expected name to be str, found 5"),
        ({"count": 1, "version": "new"}, r"f: expected version to be int \| None, found 'new'"),
        ({"count": 1, "kind": "c"}, r"f: expected kind to be Literal\['a', 'b'\], found 'c'"),
        ({"count": -1}, r"f: count must be >= 0, got -1\. Mend the value\.$"),
    ],
)
def test_construct_names_the_key_and_the_value(given, message):
    with pytest.raises(ConfigError, match=f"^{message}") as error:
        construct(Thing, given, "f")
    assert "\n" not in str(error.value)


def test_construct_leaves_the_parameters_as_they_are():
    given = {"count": 1, "sizes": ["1", 2], "parts": [{"a": [1]}]}
    before = copy.deepcopy(given)
    assert construct(Thing, given, "f").sizes == [1, 2]
    assert given == before
