"""Vendor tools' files in, layer times out; knows no space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from latpred.formats.base import Format, Layer, Profile
from latpred.formats.combine import combine
from latpred.formats.detect import detect_among, named, parse_with, read_text
from latpred.formats.dpu import Dpu
from latpred.formats.generic_csv import GenericCsv
from latpred.formats.litert import LitertBenchmark
from latpred.formats.mlperf import MlperfSummary
from latpred.formats.onnxruntime_profile import OnnxRuntimeProfile
from latpred.formats.openvino_app import OpenvinoApp
from latpred.formats.qnn import Qnn
from latpred.formats.snpe import Snpe
from latpred.formats.tflite import TfliteBenchmark
from latpred.formats.trtexec import Trtexec
from latpred.formats.vaitrace import Vaitrace

__all__ = ["FORMATS", "Format", "Layer", "Profile", "combine", "detect", "parse_file", "parse_networks"]

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        format_.name: format_
        for format_ in (
            GenericCsv(),
            Dpu(),
            LitertBenchmark(),
            MlperfSummary(),
            OnnxRuntimeProfile(),
            OpenvinoApp(),
            Qnn(),
            Snpe(),
            TfliteBenchmark(),
            Trtexec(),
            Vaitrace(),
        )
    }
)
"""All formats by their names; a new one is one file of code and one line here."""


def detect(source: Path | str) -> Format:
    """Return the format of a file, found by what is in it, never by its name.

    Args:
        source: The file's path, or its text if it is a `str`.

    Raises:
        ParseError: If no format recognizes it, or several do; naming those that there are.
    """
    if isinstance(source, Path):
        return detect_among(FORMATS, read_text(source), str(source))
    return detect_among(FORMATS, source, "the text")


def parse_file(path: Path | str, format: str = "auto") -> Profile:  # noqa: A002 - the command's option has this name
    """Read what one file of a tool says about one network.

    Args:
        path: The file.
        format: A name of `FORMATS`; `auto` finds it out.

    Raises:
        ParseError: If it cannot be read as what it is, naming the file, the line or key, and what to do.
    """
    text = read_text(Path(path))
    return named(FORMATS, format, text, str(path)).parse(text, str(path))


def parse_networks(path: Path | str, format: str = "auto") -> tuple[Profile, ...]:  # noqa: A002 - as `parse_file`
    """Read a file that may tell of several networks, as latpred's own CSV can: one profile for each.

    Args:
        path: The file.
        format: As for `parse_file`.

    Raises:
        ParseError: As for `parse_file`.
    """
    return parse_with(FORMATS, Path(path), format)
