"""NumPy's numbers and arrays as they stand in pickles, read from their bytes into plain Python numbers.

The forms are those that `__reduce__` and `__reduce_ex__` of `numpy.dtype`, `numpy.ndarray` and `numpy.generic` give;
names of both `numpy.core` (before NumPy 2) and `numpy._core` are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

Spend = Callable[[int], None]
"""Takes the bytes that are about to be read out of the budget; raises when it is used up."""

_CORES = ("numpy.core", "numpy._core")
_KINDS = "biuf"
"""Of numbers: truth values, integers, and floats."""


class Name(Enum):
    """What a pickle may name; none of them is ever imported."""

    DTYPE = "numpy.dtype"
    NDARRAY = "numpy.ndarray"
    SCALAR = "scalar"
    RECONSTRUCT = "_reconstruct"
    FROM_BUFFER = "_frombuffer"
    ENCODE = "_codecs.encode"
    """How Python 3 writes bytes in the protocols 0 to 2: as text that is latin-1."""

    @classmethod
    def known(cls, module: object, attribute: object) -> Name | None:
        """Return the name, or None if it is not one of these."""
        if (module, attribute) in (("numpy", "dtype"), ("numpy", "ndarray"), ("_codecs", "encode")):
            return cls(f"{module}.{attribute}")
        if attribute in ("scalar", "_reconstruct") and module in [f"{core}.multiarray" for core in _CORES]:
            return cls(attribute)
        if attribute == "_frombuffer" and module in [f"{core}.numeric" for core in _CORES]:
            return cls(attribute)
        return None


@dataclass
class Pending:
    """A dtype, or an array whose content is still to come."""

    dtype: np.dtype[Any] | None
    """None for an array."""

    def __str__(self) -> str:
        """Return what it is, for errors."""
        return "an array without content" if self.dtype is None else f"the type {self.dtype}"


def reduced(name: Name, arguments: tuple[Any, ...], spend: Spend) -> Any:  # noqa: ANN401 - a number, list, bytes ...
    """Return what a call of `name` stands for.

    Raises:
        ValueError: If the arguments are not those that NumPy writes.
    """
    if name is Name.ENCODE and len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] == "latin1":
        spend(len(arguments[0]))
        return arguments[0].encode("latin-1")
    if name is Name.DTYPE and arguments and isinstance(arguments[0], str):
        return Pending(_dtype(arguments[0]))
    if name is Name.SCALAR and len(arguments) == 2:
        values = _numbers(_dtype_of(arguments[0]), arguments[1], spend)
        if len(values) == 1:
            return values[0]
    if name is Name.RECONSTRUCT and arguments and arguments[0] is Name.NDARRAY:
        return Pending(None)
    if name is Name.FROM_BUFFER and len(arguments) == 4:
        return _shaped(_numbers(_dtype_of(arguments[1]), arguments[0], spend), arguments[2])
    raise ValueError(f"{name.value} with arguments that NumPy does not write")


def built(pending: Pending, state: object, spend: Spend) -> Any:  # noqa: ANN401 - a dtype or a list of numbers
    """Return what `pending` is with its state: a dtype with its byte order, or the numbers of an array.

    Raises:
        ValueError: If the state is not one that NumPy writes.
    """
    if not isinstance(state, tuple) or len(state) < 2:
        raise ValueError("a state that NumPy does not write")
    if pending.dtype is not None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError("a byte order that NumPy does not write")
        return Pending(pending.dtype.newbyteorder(state[1]))
    if len(state) != 5:
        raise ValueError("an array's state that NumPy does not write")
    return _shaped(_numbers(_dtype_of(state[2]), state[4], spend), state[1])


def _dtype(text: str) -> np.dtype[Any]:
    if len(text) > 4 or text.lstrip("<>|=")[:1] not in tuple(_KINDS):
        raise ValueError(f"numbers of the type {text[:20]!r}, which is none of {_KINDS}")
    return np.dtype(text)


def _dtype_of(value: object) -> np.dtype[Any]:
    if not isinstance(value, Pending) or value.dtype is None:
        raise ValueError(f"a {type(value).__name__} where a type of numbers must stand")
    return value.dtype


def _numbers(dtype: np.dtype[Any], content: object, spend: Spend) -> list[Any]:
    if isinstance(content, str):  # NumPy of Python 2 wrote text
        content = content.encode("latin-1")
    if not isinstance(content, bytes | bytearray):
        raise ValueError(f"a {type(content).__name__} where the bytes of numbers must stand")
    spend(len(content))
    return np.frombuffer(content, dtype).tolist()


def _shaped(values: list[Any], shape: object) -> list[Any]:
    if shape != (len(values),):
        raise ValueError(f"an array of {len(values)} numbers that is not a plain row of them")
    return values
