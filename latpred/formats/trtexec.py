"""TensorRT's trtexec: its log, and the three JSON files that it exports beside it."""

from __future__ import annotations

import re
from typing import ClassVar

from latpred.errors import ParseError
from latpred.formats.base import Format, Profile
from latpred.formats.json_text import read_json
from latpred.formats.trtexec_json import parse_layer_info, parse_profile, parse_times
from latpred.formats.trtexec_log import parse_log

JSON_BEGIN = re.compile(r"\s*(?:\[\s*\{|\{\s*[\"}])")
"""How JSON of lists and objects begins; a log's `[I]` or time stamp does not."""

_LOG = re.compile(
    r"^&&&& \w+ TensorRT\S*trtexec|"
    r"^(?:\[[\d/:-]{8,}\] ?)?(?:\[[IWE]\] ?)?"
    r"(?:Average on \d+ runs - GPU latency: |GPU compute time average over \d+ runs is |"
    r"GPU Compute Time: min = |GPU Compute\r?$|=== Profile \(\d+ iterations ?\) ===)",
    re.MULTILINE,
)


class Trtexec(Format):
    """Reads what trtexec of TensorRT 6 to 11 prints, and its `--exportTimes`, `--exportProfile`, `--exportLayerInfo`.

    Files of one engine belong together: see `latpred.formats.combine`.
    """

    name: ClassVar[str] = "trtexec"

    def recognizes(self, head: str) -> float:
        """Return 1 for a key or line that only trtexec writes."""
        if JSON_BEGIN.match(head):
            times = '"computeMs"' in head and '"latencyMs"' in head
            profile = '"averageMs"' in head and '"timeMs"' in head
            layers = re.search(r'"Layers"\s*:\s*\[', head) is not None
            return 1.0 if times or profile or layers else 0.0
        return 1.0 if _LOG.search(head) else 0.0

    def parse(self, text: str, where: str) -> Profile:
        """Read a whole file."""
        if not JSON_BEGIN.match(text):
            return parse_log(text, where)
        content = read_json(text, where)
        if isinstance(content, dict):
            return parse_layer_info(content, where)
        keys = {key for item in content if isinstance(item, dict) for key in item} if isinstance(content, list) else {}
        if "computeMs" in keys:
            return parse_times(content, where)
        if "averageMs" in keys:
            return parse_profile(content, where)
        problem = "expected records with computeMs (--exportTimes) or averageMs (--exportProfile), found neither"
        raise ParseError(where, problem, "Export the file again with trtexec")
