"""The ways in which public data sets write architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latpred.errors import ArchitectureError
from latpred.spaces import SearchSpace
from latpred.spaces.fbnet import FBNet, FBNetArchitecture
from latpred.spaces.mnasnet_architecture import MNasNetArchitecture
from latpred.spaces.mnasnet_ofa import MNasNetOFA
from latpred.spaces.nasbench201 import NASBench201
from latpred.spaces.nasbench201_architecture import NASBench201Architecture

_OFA_KEYS = ("ks", "e", "d", "r")
_BLOCKS = 4
"""Entries of each stage in the lists of once-for-all's own encoding; it uses the first ones, as many as the depth."""


def public_reader(space: SearchSpace[Any]) -> Callable[[Any], Any]:
    """Return the function that reads an architecture of `space` in its public form, or in latpred's JSON form.

    The public forms are NAS-Bench-201's strings and six operation indices, FBNet's 22 indices as HW-NAS-Bench and
    HELP write them, and once-for-all's `{ks, e, d, r}`. The function raises ArchitectureError for what is none.
    """
    readers: dict[type[Any], Callable[[Any, Any], Any]] = {
        NASBench201: _nasbench201,
        FBNet: _fbnet,
        MNasNetOFA: _once_for_all,
    }
    reader = readers.get(type(space))
    return space.from_json if reader is None else lambda written: reader(space, written)


def _nasbench201(space: NASBench201, written: object) -> NASBench201Architecture:
    if isinstance(written, str):
        return space.from_string(written)
    if isinstance(written, list | tuple):
        return _from_indices(space, NASBench201Architecture.from_indices, written)
    return space.from_json(written)


def _fbnet(space: FBNet, written: object) -> FBNetArchitecture:
    if isinstance(written, list | tuple):
        return _from_indices(space, FBNetArchitecture.from_indices, written)
    return space.from_json(written)


def _from_indices(space: SearchSpace[Any], read: Callable[[Any], Any], written: list[Any] | tuple[Any, ...]) -> Any:  # noqa: ANN401 - an architecture of the space
    try:
        if not all(type(index) is int for index in written):
            raise ValueError(f"expected operation indices, found {written!r:.60}")
        architecture = read(written)
    except ValueError as error:
        raise ArchitectureError(f"space {space.name}", str(error), "Give an architecture of this space") from None
    space.slot_ids(architecture)  # is the check
    return architecture


def _once_for_all(space: MNasNetOFA, written: object) -> MNasNetArchitecture:
    if not isinstance(written, dict) or sorted(written) != sorted(_OFA_KEYS):
        return space.from_json(written)
    kernels, widths, depths, size = (written[key] for key in _OFA_KEYS)
    lists = all(isinstance(row, list | tuple) for row in (kernels, widths, depths))
    count = _BLOCKS * len(depths) if lists else 0
    if not lists or len(kernels) != count or len(widths) != count or not all(type(depth) is int for depth in depths):
        problem = f"expected ks and e to have {_BLOCKS} entries for each of d, found {written!r:.80}"
        raise ArchitectureError(f"space {space.name}", problem, "Give an architecture of this space")
    used = [slice(_BLOCKS * i, _BLOCKS * i + depth) for i, depth in enumerate(depths)]
    first = space.stages[0]  # once-for-all's encoding leaves out the stage that has no choice
    value = {
        "depth": [first.depths[0], *depths],
        "width": [[first.widths[0]], *(list(widths[part]) for part in used)],
        "kernel": [[first.kernels[0]], *(list(kernels[part]) for part in used)],
        "image_size": size,
    }
    return space.from_json(value)
