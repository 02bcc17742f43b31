"""The estimator: an exported predictor that answers for architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latpred.card import PredictorCard
from latpred.errors import ArtefactError, UnmeasuredError, UsageError
from latpred.export import load_onnx, load_torchscript
from latpred.primitive import Primitive
from latpred.spaces import SearchSpace, space_from_card

Missing = Literal["raise", "nan", "estimate"]


class Answer(NamedTuple):
    """A prediction, and what it stands on."""

    value: float
    """In the card's unit; NaN where a primitive was not measured and none was estimated."""
    unmeasured: tuple[Primitive, ...]
    """Primitives without a measurement."""
    estimated: bool
    """Whether the value uses estimates of unmeasured primitives."""


class Estimator:
    """Net + card + space: architecture in, number out. Picklable.

    Args:
        path: A `.ts` or `.onnx` that latpred exported. A `.ts` is a program: load those you trust.
        missing: What to do with an architecture that holds an unmeasured primitive: `raise` an error that names it,
            answer `nan`, or `estimate` the primitive from those that were measured (`.ts` only).

    Raises:
        ArtefactError: If the file cannot be read.
        CardError: If it has no card.
    """

    def __init__(self, path: str | Path, missing: Missing = "raise") -> None:
        if missing not in ("raise", "nan", "estimate"):
            raise UsageError("missing", f"expected raise, nan or estimate, found '{missing}'", "Mend it")
        self.path = Path(path)
        self.missing = missing
        self._net, self.card = load_net(self.path)
        self.space: SearchSpace[Any] = space_from_card(self.card.space)
        self._unmeasured_ids = frozenset(self.card.unmeasured_ids)
        if missing == "estimate":
            _fill_table(self._net, self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path, so that another process loads the same file."""
        return Estimator, (self.path.absolute(), self.missing)

    def __call__(self, architecture: Any) -> float:  # noqa: ANN401 - each space has its own type
        """Predict one architecture, a value of the space or its JSON form, in the card's unit.

        Raises:
            ArchitectureError: If it is not in the space.
            UnmeasuredError: If it holds an unmeasured primitive and `missing` is "raise".
        """
        ids = self._slot_ids(architecture)
        with torch.inference_mode():
            value = float(self._net(torch.tensor([ids])))
        if value != value and self.missing == "raise":  # NaN; quicker than math.isnan
            self._refuse(ids)
        return value

    def predict_batch(self, architectures: Sequence[Any]) -> NDArray[np.float32]:
        """Predict many architectures at once, [batch], in the card's unit.

        Raises:
            ArchitectureError: If one is not in the space.
            UnmeasuredError: If one holds an unmeasured primitive and `missing` is "raise".
        """
        ids = [self._slot_ids(architecture) for architecture in architectures]
        return self.predict_ids(np.array(ids, dtype=np.int64).reshape(len(ids), self.card.slots))

    def predict_ids(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Predict encodings, [batch, slots], as `space.encode` gives them; returns [batch], in the card's unit.

        Raises:
            UsageError: If the shape is wrong, or an id lies outside [-1, vocabulary).
            UnmeasuredError: If one holds an unmeasured primitive and `missing` is "raise".
        """
        size = len(self.card.vocabulary)
        if ids.ndim != 2 or ids.shape[1] != self.card.slots:
            raise UsageError(
                "ids", f"expected the shape [batch, {self.card.slots}], found {list(ids.shape)}", "Mend it"
            )
        if ids.size and not (ids.min() >= -1 and ids.max() < size):
            problem = f"expected ids from -1 to {size - 1}, found {ids.min()} to {ids.max()}"
            raise UsageError("ids", problem, "Encode with the space of `estimator.space`")
        values = predict_in_chunks(self._net, np.ascontiguousarray(ids, dtype=np.int64), self.card.batch_chunk)
        if self.missing == "raise" and (bad := np.isnan(values)).any():
            self._refuse(ids[bad.argmax()].tolist())
        return values

    def explain(self, architecture: Any) -> Answer:  # noqa: ANN401 - each space has its own type
        """Predict one architecture, and say which of its primitives were never measured; never raises for those."""
        ids = self._slot_ids(architecture)
        with torch.inference_mode():
            value = float(self._net(torch.tensor([ids])))
        unmeasured = self._unmeasured(ids)
        return Answer(value, unmeasured, estimated=self.missing == "estimate" and bool(unmeasured))

    def _slot_ids(self, architecture: Any) -> list[int]:  # noqa: ANN401
        if isinstance(architecture, Mapping):
            architecture = self.space.from_json(architecture)
        return self.space.slot_ids(architecture)

    def _unmeasured(self, ids: Sequence[int]) -> tuple[Primitive, ...]:
        entries = [self.card.vocabulary.by_id[i] for i in sorted(set(ids)) if i in self._unmeasured_ids]
        return tuple(entry for entry in entries if isinstance(entry, Primitive))

    def _refuse(self, ids: Sequence[int]) -> None:
        names = [str(primitive) for primitive in self._unmeasured(ids)]
        if not names:
            problem = "the net answered NaN for an architecture of which every primitive was measured"
            raise ArtefactError(str(self.path), problem, "Fit and export again")
        raise UnmeasuredError(
            str(self.path),
            f"expected measured primitives, found {len(names)} never measured on {self.card.device}: "
            f"{'; '.join(names)}",
            'Profile them (`latpred genprof`, `latpred profile`), or ask with missing="estimate" or missing="nan"',
        )


def load(path: str | Path, missing: Missing = "raise") -> Estimator:
    """Read an exported predictor; see `Estimator`."""
    return Estimator(path, missing)


def predict_in_chunks(
    net: Callable[[Tensor], Tensor], ids: NDArray[np.int64], chunk: int | None
) -> NDArray[np.float32]:
    """Return what `net` answers for ids [batch, slots], asking for `chunk` of them at once.

    A chunk holds networks of like length, because a recurrent net reads as far as the longest.
    """
    if not len(ids):
        return np.empty(0, dtype=np.float32)  # a recurrent net cannot read a batch of none
    with torch.inference_mode():
        if chunk is None or len(ids) <= chunk:
            return net(torch.from_numpy(ids)).numpy()
        order = np.argsort((ids >= 0).sum(1), kind="stable")
        values = np.empty(len(ids), dtype=np.float32)
        for begin in range(0, len(ids), chunk):
            rows = order[begin : begin + chunk]
            values[rows] = net(torch.from_numpy(ids[rows])).numpy()
    return values


def load_net(path: Path) -> tuple[Callable[[Tensor], Tensor], PredictorCard]:
    """Read the net and the card of an exported predictor.

    Raises:
        ArtefactError: If the file cannot be read.
        CardError: If it has no card.
    """
    if path.suffix == ".ts":
        return load_torchscript(path)
    if path.suffix == ".onnx":
        return load_onnx(path)
    problem = f"expected an exported predictor, .ts or .onnx, found '{path.suffix or path.name}'"
    remedy = "Export the checkpoint with `latpred export`; a .pt2 is for programs with torch.export.load only"
    raise ArtefactError(str(path), problem, remedy)


def _fill_table(net: Callable[[Tensor], Tensor], path: Path) -> None:
    """Put the estimates into the block table where nothing was measured."""
    buffers = dict(net.named_buffers()) if isinstance(net, torch.jit.ScriptModule) else {}
    tables = [name.removesuffix("measured") for name in buffers if name.split(".")[-1] == "measured"]
    if not tables:
        problem = "expected a .ts with a block table, whose unmeasured primitives can be estimated, found none"
        raise ArtefactError(str(path), problem, 'Load the .ts, or ask with missing="nan"')
    value, measured, estimate = (buffers[tables[0] + name] for name in ("value", "measured", "estimate"))
    value.copy_(torch.where(measured, value, estimate))
