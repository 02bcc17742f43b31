"""Reading pickles as data: nothing in them is imported, called or executed.

A pickle is a program. Python's own reader runs it; this one follows its operations itself, knows those that make
numbers, texts, lists, tuples and dicts, and reads NumPy's numbers and arrays from their bytes. All else is refused
by name, and so is what would make a small file large in memory.
"""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Any

from latpred.dataset.importers.pickle_machine import Machine, Operation, RefusedError
from latpred.errors import ParseError

_LARGEST_BYTES = 1 << 29
_REMEDY = "Do not load it with anything else unless you trust it: Python would execute what stands in it"
_DAMAGED = "Copy or download the file again"


def read_pickle(data: bytes, where: str) -> Any:  # noqa: ANN401 - whatever plain data there is
    """Return the numbers, texts, lists, tuples and dicts in a pickle; NumPy's arrays become lists.

    Args:
        data: The pickle, of any protocol.
        where: The file, for errors.

    Raises:
        ParseError: If it is damaged, or holds anything else; nothing of it has been executed.
    """
    machine = Machine(len(data))
    place = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            place = position or 0
            if opcode.name == "STOP":
                break
            machine.step(Operation(opcode.name, argument))
        result = machine.result()
    except RefusedError as error:
        raise ParseError(f"{where}, byte {place}", f"expected plain data, found {error}", _REMEDY) from None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, DeprecationWarning) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ParseError(f"{where}, byte {place}", f"expected a whole pickle, found: {reason}", _DAMAGED) from None
    if rest := len(data) - place - 1:
        raise ParseError(where, f"expected one pickle, found {rest} bytes behind its end", _DAMAGED)
    return result


def read_pickle_file(path: Path) -> Any:  # noqa: ANN401 - whatever plain data there is
    """Return the plain data in a pickle file, or in a file that `torch.save` wrote.

    Raises:
        ParseError: As `read_pickle`, and if the file cannot be read or is too large.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            problem = f"expected at most {_LARGEST_BYTES >> 20} MiB, found {path.stat().st_size >> 20}"
            raise ParseError(str(path), problem, "Give a file of measured latencies")
        data = path.read_bytes()
    except OSError as error:
        problem = f"expected a readable file, got: {error.strerror or error}"
        raise ParseError(str(path), problem, "Check the path") from None
    return read_pickle(_inside_zip(path, data) if data.startswith(b"PK\x03\x04") else data, str(path))


def _inside_zip(path: Path, data: bytes) -> bytes:
    """Return the pickle in an archive of `torch.save`; nothing is unpacked to the disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
            if len(found) != 1:
                problem = f"expected one data.pkl in the archive, found {len(found)}"
                raise ParseError(str(path), problem, "Give a file that torch.save wrote")
            # torch.save compresses nothing: what is larger inside than outside is made to fill the memory.
            if found[0].file_size > len(data):
                problem = f"expected at most {len(data)} bytes in data.pkl, found {found[0].file_size}"
                raise ParseError(str(path), problem, _REMEDY)
            with archive.open(found[0]) as file:
                return file.read(len(data) + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ParseError(str(path), f"expected an archive of torch.save, got: {reason}", _DAMAGED) from None
