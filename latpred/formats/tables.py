"""Tables that tools print for people: columns told by the names in the header, with blanks between the cells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from latpred.errors import ParseError
from latpred.formats.numbers import shown

BLANK = re.compile(r"[ \t]+")
"""What stands between cells. Never `\\s` or `str.split()`: both also split at the control characters in names."""


class Line(NamedTuple):
    """A line of a file and its number, from 1."""

    number: int
    text: str


def lines(text: str) -> list[Line]:
    """Split `text` at its ends of lines; `str.splitlines` would also split at the control characters in names."""
    return [Line(i, line.rstrip("\r")) for i, line in enumerate(text.split("\n"), start=1)]


class Header(NamedTuple):
    """The columns of a table, one of which, `name`, may hold blanks."""

    columns: tuple[str, ...]
    """From left to right."""
    units: Mapping[str, str]
    """Of the columns whose names tell one."""

    def cells(self, row: str, where: str) -> dict[str, str]:
        """Return the cells of a row by their columns.

        Raises:
            ParseError: If the row has too few.
        """
        before = self.columns.index("name")
        after = len(self.columns) - before - 1
        row = row.strip(" \t")
        parts = BLANK.split(row, maxsplit=before) if before else [row]  # a maxsplit of 0 means no limit
        rest, tail = parts[-1], list[str]()
        for _ in range(after):
            rest = rest.rstrip(" \t")
            blank = max(rest.rfind(" "), rest.rfind("\t"))
            tail.append(rest[blank + 1 :])
            rest = rest[: max(blank, 0)]
        values = (*parts[:-1], rest.rstrip(" \t"), *reversed(tail))
        if len(values) != len(self.columns) or not all(values):
            problem = f"expected {len(self.columns)} cells ({', '.join(self.columns)}), found {shown(row)}"
            raise ParseError(where, problem, "The row may be cut off; take the file from the device again")
        return dict(zip(self.columns, values, strict=True))


def read_header(text: str, patterns: Mapping[str, str], where: str) -> Header:
    """Find out which column of a table is which.

    Args:
        text: The header's line.
        patterns: A regular expression for the title of each column, by the column's name; `name` must be among them.
            A group in it, there may be one, is the unit.
        where: The file and line, for errors.

    Raises:
        ParseError: If a title is unknown or there twice, or `name` is missing.
    """
    finder = re.compile("|".join(f"(?P<{column}>{pattern})" for column, pattern in patterns.items()))
    columns, units, end = list[str](), dict[str, str](), 0
    for match in finder.finditer(text):
        column = next(name for name in patterns if match[name] is not None)
        _refuse_unknown(text[end : match.start()], where)
        end = match.end()
        if column in columns:
            problem = f"expected each column once, found two of {shown(match[0])}"
            raise ParseError(where, problem, "Take the file from the device again")
        columns.append(column)
        if unit := next((group for group in match.groups() if group not in (None, match[0])), None):
            units[column] = unit
    _refuse_unknown(text[end:], where)
    if "name" not in columns:
        problem = f"expected a table's header with the column of names, found {shown(text.strip())}"
        raise ParseError(where, problem, "Take the file from the device again")
    return Header(tuple(columns), units)


def _refuse_unknown(text: str, where: str) -> None:
    if title := text.strip(" \t"):
        problem = f"expected a column that is known, found {shown(title)}"
        raise ParseError(where, problem, "Print the table in the tool's own form")


def missing(header: Header, title: str, where: str) -> ParseError:
    """Return the error for a table without a column that is needed, whose title is `title`."""
    problem = f"expected the column {title}, found {', '.join(header.columns)}"
    return ParseError(where, problem, "Print the table in the tool's own form")
