"""Pickles are read as data: what plain data is comes back, and nothing else happens."""

import io
import pickle
import random
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from latpred.dataset.importers.plain_pickle import read_pickle, read_pickle_file
from latpred.errors import ParseError

PLAIN = {
    "list": [1, 2.5, None, True, "ü", -7, 2**40],
    "tuples": (1, (2,), [3], ()),
    "bytes": b"\x80a",
    (1, 2): {"empty": {}},
}
NUMPY = {
    "number": np.float64(1.5),
    "small": np.float32(0.25),
    "whole": np.int64(-7),
    "row": np.arange(3.0),
    "shorts": np.arange(3, dtype=">i2"),
    "truths": np.array([True, False]),
}
AS_PLAIN = {
    "number": 1.5,
    "small": 0.25,
    "whole": -7,
    "row": [0.0, 1.0, 2.0],
    "shorts": [0, 1, 2],
    "truths": [True, False],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(("value", "expected"), [(PLAIN, PLAIN), (NUMPY, AS_PLAIN)], ids=["plain", "numpy"])
def test_plain_data_and_numpys_numbers_come_back(protocol, value, expected):
    assert read_pickle(pickle.dumps(value, protocol), "x.pkl") == expected


def test_what_is_there_twice_is_read_once():
    row = np.arange(4.0)
    assert read_pickle(pickle.dumps([row, row], 2), "x.pkl") == [[0.0, 1.0, 2.0, 3.0]] * 2


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_before_and_since_2_are_known(module):
    content = pickle.dumps(np.float64(1.5), 2).replace(b"numpy._core.multiarray", module.encode())
    assert module.encode() in content
    assert read_pickle(content, "x.pkl") == 1.5


_SCALAR = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRS'8 bytes!'\ntR."


class Bomb:
    """Would run a command, or touch a file, if it were unpickled."""

    def __init__(self, function, *arguments):
        self._reduced = (function, arguments)

    def __reduce__(self):
        return self._reduced


def bombs(mark: Path) -> dict[str, bytes]:
    """Return pickles that would write `mark`, or take for ever, or fill the memory."""
    import os
    import subprocess

    command = f"touch {mark}"
    nested = "t"
    for _ in range(40):
        nested = (nested, nested)
    return {
        "posix.system": pickle.dumps({"a": [1, Bomb(os.system, command)]}, 0),
        "builtins.eval": pickle.dumps(Bomb(eval, f"open({str(mark)!r}, 'w')"), 4),
        "builtins.exec": pickle.dumps(Bomb(exec, f"open({str(mark)!r}, 'w')"), 4),
        "subprocess.Popen": pickle.dumps(Bomb(subprocess.Popen, ["touch", str(mark)]), 4),
        "builtins.getattr": pickle.dumps(Bomb(getattr, "x", "upper"), 4),
        "numpy.load": b"cnumpy\nload\n(S'" + str(mark).encode() + b"'\ntR.",
        "the operation INST": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "the operation OBJ": b"(cnumpy\ndtype\nS'f8'\no.",
        "the operation NEWOBJ": b"\x80\x02cnumpy\ndtype\n)\x81.",
        "the operation PERSID": b"Psystem\n.",
        "the operation EXT1": b"\x80\x02\x82\x01.",
        "a call of a str": b"S'x'\n)R.",
        "a state for a dict": b"}}b.",
        "a tuple as a key": pickle.dumps({"k": 1}, 2)[:-1] + b"}" + pickle.dumps(nested, 2)[2:-1] + b"K\x01s0.",
        "an integer of 40000 bits": b"\x8b" + struct.pack("<I", 5001) + b"\x00" * 4999 + b"\x80\x00.",
        "the same bytes read again": _amplified(),
    }


def _amplified() -> bytes:
    """Return a small pickle that makes twenty arrays of the same bytes."""
    raw = b"S'" + b"\\x00" * 8000 + b"'\nq\xf0"
    dtype = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRq\xf1"
    array = b"cnumpy.core.numeric\n_frombuffer\n(h\xf0h\xf1(I1000\ntS'C'\ntR"
    return raw + b"0" + dtype + b"0]" + (array + b"a") * 20 + b"."


@pytest.mark.parametrize("reason", sorted(bombs(Path("/nowhere"))))
def test_a_malicious_pickle_is_refused_by_name_and_nothing_is_executed(reason, tmp_path):
    mark = tmp_path / "mark"
    begin = time.monotonic()
    with pytest.raises(ParseError) as error:
        read_pickle(bombs(mark)[reason], "bad.pkl")
    assert f"found {'the name ' if '.' in reason else ''}{reason}" in str(error.value)
    assert str(error.value).startswith("bad.pkl, byte ")
    assert "Do not load it with anything else" in str(error.value)
    assert time.monotonic() - begin < 5  # a bomb would take hours
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a whole pickle"),
        (b"not a pickle", "expected a whole pickle"),
        (pickle.dumps([1, 2, 3], 2)[:-1], "pickle exhausted before seeing STOP"),
        (pickle.dumps([1], 2) + b"more", "found 4 bytes behind its end"),
        (b"K\x01K\x02.", "2 values at its end instead of one"),
        (b"(K\x01.", "2 values at its end"),
        (b"u.", "no mark where one must stand"),
        (b"}(K\x01u.", "a key without a value"),
        (b"K\x01K\x02a.", "a int where a list must stand"),
        (b"cnumpy\ndtype\n.", "found the name of something instead of it"),
        (b"cnumpy\ndtype\n(S'O8'\ntR.", "numbers of the type 'O8', which is none of biuf"),
        (b"cnumpy\ndtype\n(I8\ntR.", "numpy.dtype with arguments that NumPy does not write"),
        (pickle.dumps(np.zeros((2, 2)), 2), "an array of 4 numbers that is not a plain row of them"),
        (pickle.dumps(np.array([None]), 2), "numbers of the type 'O8'"),
        (_SCALAR.replace(b"8 bytes!", b"abc"), "buffer size must be a multiple of element size"),
        (_SCALAR.replace(b"8 bytes!", b"8 bytes!" * 2), "scalar with arguments that NumPy does not write"),
    ],
)
def test_what_is_damaged_or_of_another_kind_is_told(content, reason):
    with pytest.raises(ParseError) as error:
        read_pickle(content, "x.pkl")
    assert reason in str(error.value)


def test_random_damage_gives_a_parse_error_or_data():
    rng = random.Random(0)
    sources = [pickle.dumps(value, protocol) for value in (PLAIN, NUMPY) for protocol in range(6)]
    refused = 0
    for _ in range(3000):
        content = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(content))
            content[place : place + rng.randint(0, 2)] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 3)))
        try:
            read_pickle(bytes(content), "x.pkl")
        except ParseError:
            refused += 1
    assert 1000 < refused < 3000


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return file.getvalue()


def test_an_archive_of_torch_save_is_read_without_being_unpacked(tmp_path):
    members = {"archive/data.pkl": pickle.dumps([1.5], 2), "archive/version": b"3\n", "../out": b"x"}
    (tmp_path / "x.pt").write_bytes(archive(members))
    assert read_pickle_file(tmp_path / "x.pt") == [1.5]
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive({"a/other": b"x"}), "expected one data.pkl in the archive, found 0"),
        (archive({"a/data.pkl": b"N.", "b/data.pkl": b"N."}), "expected one data.pkl in the archive, found 2"),
        (archive({"a/data.pkl": b"\x00" * 10**7}, zipfile.ZIP_DEFLATED), "in data.pkl, found 10000000"),
        (archive({"a/data.pkl": b"N."})[:-30], "expected an archive of torch.save, got: File is not a zip file"),
    ],
    ids=["none", "two", "bomb", "cut"],  # archives hold the time: their bytes would name the tests
)
def test_an_archive_that_is_another_or_a_bomb_is_refused(content, reason, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(ParseError, match=reason) as error:
        read_pickle_file(tmp_path / "x.pt")
    assert str(tmp_path / "x.pt") in str(error.value)


def test_a_file_that_is_not_there_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(ParseError, match=r"no\.pkl: expected a readable file, got: No such file"):
        read_pickle_file(tmp_path / "no.pkl")
    monkeypatch.setattr("latpred.dataset.importers.plain_pickle._LARGEST_BYTES", 1 << 20)
    (tmp_path / "x.pkl").write_bytes(b"\x00" * (3 << 20))
    with pytest.raises(ParseError, match=r"x\.pkl: expected at most 1 MiB, found 3"):
        read_pickle_file(tmp_path / "x.pkl")


def test_torch_itself_writes_what_is_read(tmp_path):
    import torch

    torch.save([1.5, 2.5], tmp_path / "x.pt")
    assert read_pickle_file(tmp_path / "x.pt") == [1.5, 2.5]
