"""Reading the JSON that tools write, so that whatever is wrong with it becomes one error that says where."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from latpred.errors import ParseError
from latpred.formats.numbers import shown

Record = dict[str, Any]

_AGAIN = "Copy the file from the device again, or run the tool again"


def read_json(text: str, where: str) -> object:
    """Read a JSON text.

    Control characters in strings are let through, because TensorRT does not escape its names.

    Raises:
        ParseError: If it is no JSON, is cut off, or gives one key of an object two values.
    """
    try:
        return json.loads(text, strict=False, object_pairs_hook=partial(_record, where))
    except RecursionError:
        raise ParseError(where, "expected a flat JSON file, found one that is nested too deep", _AGAIN) from None
    except json.JSONDecodeError as error:
        whole = text.rstrip()
        open_string = error.msg.startswith("Unterminated string")
        cut = open_string or error.pos >= len(whole) or not whole.endswith(("]", "}"))
        found = "the end of the file: it is cut off" if cut else error.msg
        raise ParseError(f"{where}, line {error.lineno}", f"expected JSON, found {found}", _AGAIN) from None
    except ValueError as error:  # an integer of thousands of digits
        raise ParseError(where, f"expected JSON, found {error}", _AGAIN) from None


def _record(where: str, pairs: list[tuple[str, Any]]) -> Record:
    values = dict(pairs)
    if len(values) < len(pairs):
        for key, value in pairs:
            if value != values[key]:
                problem = f"expected one value of the key {shown(key)}, found two that differ"
                raise ParseError(where, problem, "Look at the file: two may have been written into one")
    return values


def records(value: object, where: str, what: str) -> list[Record]:
    """Return `value` as the list of objects that it must be.

    Raises:
        ParseError: If it is another thing, or holds one.
    """
    if not isinstance(value, list):
        raise ParseError(where, f"expected {what} to be a list, found a {type(value).__name__}", _AGAIN)
    for i, item in enumerate(value):
        if not isinstance(item, dict):
            found = f"a {type(item).__name__} as number {i}"
            raise ParseError(where, f"expected {what} to be a list of objects, found {found}", _AGAIN)
    return value


def text_of(item: Record, key: str, where: str) -> str:
    """Return the text under `key`.

    Raises:
        ParseError: If it is absent or no text.
    """
    value = item.get(key)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # JSON can spell halves of characters, no other file can
    found = f"a {type(value).__name__}" if key in item else f"the keys {shown(', '.join(map(str, item)))}"
    raise ParseError(where, f"expected text under the key '{key}', found {found}", _AGAIN)


def required(item: Record, key: str, where: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return what stands under `key`.

    Raises:
        ParseError: If nothing does.
    """
    if key in item:
        return item[key]
    problem = f"expected the key '{key}', found {shown(', '.join(map(str, item)))}"
    raise ParseError(where, problem, "Look whether another program wrote or renamed it")
