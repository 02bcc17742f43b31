"""NAS-Bench-201 (arXiv 2001.00326): one cell of four nodes, repeated in three stages."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from latpred.config import canonical_json
from latpred.errors import ArchitectureError
from latpred.primitive import Primitive
from latpred.spaces.base import SearchSpace
from latpred.spaces.blocks import PRIMITIVE_TYPES, PrimitiveType
from latpred.spaces.checks import check_integer
from latpred.spaces.nasbench201_architecture import EDGES, OPERATIONS, NASBench201Architecture, fault
from latpred.spaces.nasbench201_cell import CARRIED, KERNELS, NASBENCH201_TYPES, PREFIX, edge_name

STAGES = 3

Choice = tuple[int, str, bool]
"""Place in `EDGES`, operation, and whether the edge is live."""


class _Stage(NamedTuple):
    """Cells of one size, and the blocks behind them."""

    edges: dict[Choice, Primitive]
    behind: tuple[Primitive, ...]


class NASBench201(SearchSpace[NASBench201Architecture]):
    """A stem, three stages of equal cells with a residual block between them, and a head: 15,625 architectures.

    A cell's primitives are its six edges, `none` among them: the public implementation multiplies by 0 there, and
    measured latencies show it. An edge that is on no path from the cell's input to its output is another primitive
    (`live: false`) than the same operation on one that is: compilers leave it out, PyTorch does not. A slot is always
    taken by the same edge of the same cell.

    Args:
        image_size: Height and width of the input image, pixels.
        channels: Of a node in the first stage; each stage has twice as many as the one before it.
        cells: Of each stage.
        classes: Outputs of the classifier.
    """

    name = "nasbench201"
    primitive_types: ClassVar[Mapping[str, PrimitiveType]] = MappingProxyType({**PRIMITIVE_TYPES, **NASBENCH201_TYPES})

    def __init__(self, image_size: int = 32, channels: int = 16, cells: int = 5, classes: int = 10) -> None:
        given = {"image_size": image_size, "channels": channels, "cells": cells, "classes": classes}
        for name, value in given.items():
            check_integer(name, value)
        self._parameters = given
        options = canonical_json({"activation": "none", "affine": True})
        self._stem = Primitive("conv_bn_act", image_size, 3, channels, 1, 3, options)
        self._stages = self._lay_out(classes)
        ids = self.vocabulary().ids
        self._ids = [
            ({choice: ids[edge] for choice, edge in stage.edges.items()}, [ids[block] for block in stage.behind])
            for stage in self._stages
        ]

    def _lay_out(self, classes: int) -> tuple[_Stage, ...]:
        size, C, stages = self._stem.out_size, self._stem.C_out, []
        for _ in range(STAGES - 1):
            residual = Primitive(PREFIX + "residual", size, C, 2 * C, 2, 3)
            stages.append(_Stage(_edges(size, C), (residual,)))
            size, C = residual.out_size, residual.C_out
        head = (
            Primitive(PREFIX + "bn_relu", size, C, C),
            Primitive("global_avg_pool", size, C, C, size, size),
            Primitive("linear", 1, C, classes, kwargs=canonical_json({"activation": "none"})),
        )
        return (*stages, _Stage(_edges(size, C), head))

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(self._parameters)

    @property
    def slots(self) -> int:
        """Length of an encoding: the stem, each edge of each cell, and what stands between and behind the stages."""
        cells = STAGES * self._parameters["cells"]
        return 1 + cells * len(EDGES) + sum(len(stage.behind) for stage in self._stages)

    def sample(self, rng: Random) -> NASBench201Architecture:
        """Draw each operation uniformly."""
        return NASBench201Architecture(tuple(rng.choice(OPERATIONS) for _ in EDGES))

    def mutate(self, architecture: NASBench201Architecture, rng: Random) -> NASBench201Architecture:
        """Change the operation on one edge."""
        self._check(architecture)
        ops, i = architecture.ops, rng.randrange(len(EDGES))
        other = rng.choice([op for op in OPERATIONS if op != ops[i]])
        return NASBench201Architecture((*ops[:i], other, *ops[i + 1 :]))

    def primitives(self, architecture: NASBench201Architecture) -> tuple[Primitive, ...]:
        """List the edges of every cell and the blocks around them in execution order."""
        by_id = self.vocabulary().primitives
        return tuple(by_id[i] for i in self.slot_ids(architecture))

    def all_primitives(self) -> frozenset[Primitive]:
        """Every operation on every edge of every stage, live and not, and the blocks around the cells."""
        blocks = {block for stage in self._stages for block in (*stage.edges.values(), *stage.behind)}
        return frozenset({self._stem, *blocks})

    def slot_ids(self, architecture: NASBench201Architecture) -> list[int]:
        """Return the vocabulary id in each slot; none is empty."""
        if not isinstance(architecture, NASBench201Architecture):
            problem = f"expected a NASBench201Architecture, found {type(architecture).__name__} {architecture!r}"
            raise self._refusal(problem)
        try:  # the look-ups are also the check
            choices = list(zip(range(len(EDGES)), architecture.ops, architecture.live(), strict=True))
            ids = [self._stem_id]
            for edges, behind in self._ids:
                ids += [edges[choice] for choice in choices] * self._parameters["cells"]
                ids += behind
            return ids
        except (KeyError, TypeError, ValueError):
            raise self._refusal(fault(architecture)) from None

    @property
    def _stem_id(self) -> int:
        return self.vocabulary().ids[self._stem]

    def to_json(self, architecture: NASBench201Architecture) -> dict[str, Any]:
        """Return {arch_str}, the public form."""
        self._check(architecture)
        return {"arch_str": architecture.to_string()}

    def from_json(self, value: Any) -> NASBench201Architecture:  # noqa: ANN401 - any JSON value
        """Read {arch_str}."""
        if not isinstance(value, dict) or list(value) != ["arch_str"]:
            found = ", ".join(sorted(map(str, value))) if isinstance(value, dict) else repr(value)
            raise self._refusal(f"expected an architecture with the key arch_str, found {found}")
        return self.from_string(value["arch_str"])

    def from_string(self, text: str) -> NASBench201Architecture:
        """Read the public form, such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|`.

        Raises:
            ArchitectureError: If it is malformed, or has an operation that the space has not.
        """
        try:
            architecture = NASBench201Architecture.from_string(text)
        except ValueError as error:
            raise self._refusal(str(error)) from None
        self._check(architecture)
        return architecture

    def _check(self, architecture: NASBench201Architecture) -> None:
        self.slot_ids(architecture)

    def _refusal(self, problem: str) -> ArchitectureError:
        return ArchitectureError(f"space {self.name}", problem, "Give an architecture of this space")


def _edges(size: int, C: int) -> dict[Choice, Primitive]:
    """Return the primitives of a stage's edges.

    Args:
        size: Of the feature map, pixels.
        C: Channels of a node.
    """
    found: dict[Choice, Primitive] = {}
    for i, edge in enumerate(EDGES):
        before, after = CARRIED[edge]
        for op in OPERATIONS:
            for live in _liveness(edge, op):
                kwargs = canonical_json({"edge": edge_name(edge), "live": live})
                kernel = KERNELS.get(op, 1)
                found[i, op, live] = Primitive(PREFIX + op, size, C * len(before), C * len(after), 1, kernel, kwargs)
    return found


def _liveness(edge: tuple[int, int], op: str) -> tuple[bool, ...]:
    """Return whether the edge can be live and dead with that operation: `none` is no path, and 0-3 always one."""
    if op == "none":
        return (False,)
    return (True,) if edge == (0, 3) else (True, False)
