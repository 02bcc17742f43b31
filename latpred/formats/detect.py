"""Finding out which tool wrote a file, and reading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from latpred.errors import ParseError
from latpred.formats.base import Format, Profile

HEAD = 65536
"""How many characters of a file `Format.recognizes` sees."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 begins, which PowerShell writes when a tool's output is redirected."""


def read_text(path: Path) -> str:
    """Read a tool's file, whatever bytes there are in it.

    Raises:
        ParseError: If there is no file, or nothing in it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ParseError(str(path), "expected a tool's file, found nothing there", "Check the path") from None
    except OSError as error:
        problem = f"expected a file that can be read, got: {error.strerror or error}"
        raise ParseError(str(path), problem, "Check the path") from None
    text = decoded(content)
    if not text.strip():
        raise ParseError(str(path), "expected a tool's file, found an empty one", "Run the tool again")
    return text


def decoded(content: bytes) -> str:
    """Return the text that bytes stand for; what stands for none is replaced."""
    return content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig", "replace")


def detect_among(formats: Mapping[str, Format], text: str, where: str) -> Format:
    """Return the format that recognizes a text best.

    Raises:
        ParseError: If none does, or several do equally.
    """
    head = text[:HEAD]
    scores = {name: format_.recognizes(head) for name, format_ in formats.items()}
    best = max(scores.values(), default=0.0)
    found = [name for name, score in scores.items() if score == best and score > 0]
    known = ", ".join(sorted(formats))
    if not found:
        problem = f"expected a file of {known}, found none of their signatures"
        raise ParseError(where, problem, "Check that it is the tool's own output, or write latpred's CSV instead")
    if len(found) > 1:
        problem = f"expected a file of one format, found signatures of {', '.join(sorted(found))}"
        raise ParseError(where, problem, "Name the format, or give each tool's output a file of its own")
    return formats[found[0]]


def named(formats: Mapping[str, Format], name: str, text: str, where: str) -> Format:
    """Return the format called `name`, or the one that recognizes `text` if it is `auto`.

    Raises:
        ParseError: If there is no such format, or the text has another one's signature and not its own.
    """
    if name == "auto":
        return detect_among(formats, text, where)
    if name not in formats:
        problem = f"expected a format of auto, {', '.join(sorted(formats))}, found '{name}'"
        raise ParseError(where, problem, "Name one of them")
    head = text[:HEAD]
    if formats[name].recognizes(head) == 0:
        others = [other for other, format_ in formats.items() if format_.recognizes(head) > 0]
        problem = f"expected a file of {name}, found the signature of {' and '.join(sorted(others)) or 'no tool'}"
        raise ParseError(where, problem, "Leave the format out, or name the right one")
    return formats[name]


def parse_with(formats: Mapping[str, Format], path: Path, name: str) -> tuple[Profile, ...]:
    """Read all networks in the file at `path`; see `latpred.formats.parse_networks`."""
    text = read_text(path)
    return named(formats, name, text, str(path)).parse_networks(text, str(path))
