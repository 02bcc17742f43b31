"""The estimator: an exported predictor that answers for architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latpred.answers import Answer, Interval, Intervals
from latpred.card import PredictorCard
from latpred.errors import ArtefactError, UnmeasuredError, UsageError
from latpred.export import load_onnx, load_torchscript
from latpred.intervals import check_coverage, quantile
from latpred.pretrained import resolve
from latpred.primitive import Primitive
from latpred.spaces import SearchSpace, space_from_card

Missing = Literal["raise", "nan", "estimate"]


class Estimator:
    """Net + card + space: architecture in, number out. Picklable.

    Args:
        path: A `.ts` or `.onnx` that latpred exported, or the name of a predictor that comes with latpred (`latpred
            models`); what exists is a path. A `.ts` is a program: load those you trust.
        missing: What to do with an architecture that holds an unmeasured primitive: `raise` an error that names it,
            answer `nan`, or `estimate` the primitive from those that were measured (`.ts` only).

    Raises:
        ArtefactError: If the file cannot be read.
        CardError: If it has no card.
    """

    def __init__(self, path: str | Path, missing: Missing = "raise") -> None:
        if missing not in ("raise", "nan", "estimate"):
            raise UsageError("missing", f"expected raise, nan or estimate, found '{missing}'", "Mend it")
        self.path = resolve(path)
        self.missing = missing
        self._net, self.card = load_net(self.path)
        self.space: SearchSpace[Any] = space_from_card(self.card.space)
        self._unmeasured_ids = frozenset(self.card.unmeasured_ids)
        calibrated = self.card.calibration is not None and self.card.domain is not None
        self._distance: Callable[[Tensor], Tensor] | None = getattr(self._net, "distance") if calibrated else None  # noqa: B009
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
        return self.predict_ids(self._encode(architectures))

    def predict_ids(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Predict encodings, [batch, slots], as `space.encode` gives them; returns [batch], in the card's unit.

        Raises:
            UsageError: If the shape is wrong, or an id lies outside [-1, vocabulary).
            UnmeasuredError: If one holds an unmeasured primitive and `missing` is "raise".
        """
        self._check_ids(ids)
        values = predict_in_chunks(self._net, np.ascontiguousarray(ids, dtype=np.int64), self.card.batch_chunk)
        self._refuse_missing(values, ids)
        return values

    def predict_interval(self, architecture: Any, coverage: float = 0.9) -> Interval:  # noqa: ANN401
        """Say where the measurement of one architecture will lie, in the card's unit.

        Of architectures like the validation networks, at least the share `coverage` lies inside (`docs/predictors.md`).

        Raises:
            ArchitectureError: If it is not in the space.
            UsageError: If `coverage` is no number between 0 and 1.
            ArtefactError: If the file has no calibration, or one of too few networks for `coverage`.
            UnmeasuredError: If it holds an unmeasured primitive and `missing` is "raise".
        """
        found = self.predict_interval_batch([architecture], coverage)
        return Interval(float(found.lower[0]), float(found.upper[0]), float(found.value[0]), found.coverage)

    def predict_interval_batch(self, architectures: Sequence[Any], coverage: float = 0.9) -> Intervals:
        """Say where the measurements of many architectures will lie; see `predict_interval`."""
        return self.predict_interval_ids(self._encode(architectures), coverage)

    def predict_interval_ids(self, ids: NDArray[np.int64], coverage: float = 0.9) -> Intervals:
        """Say where the measurements of encodings, [batch, slots], will lie; see `predict_interval`.

        Raises:
            UsageError: If the shape is wrong, or an id lies outside [-1, vocabulary), too.
        """
        self._check_ids(ids)
        found = intervals_of(self._net, self.card, ids, coverage, str(self.path))
        self._refuse_missing(found.value, ids)
        return found

    def _check_ids(self, ids: NDArray[np.int64]) -> None:
        size = len(self.card.vocabulary)
        if ids.ndim != 2 or ids.shape[1] != self.card.slots:
            raise UsageError(
                "ids", f"expected the shape [batch, {self.card.slots}], found {list(ids.shape)}", "Mend it"
            )
        if ids.size and not (ids.min() >= -1 and ids.max() < size):
            problem = f"expected ids from -1 to {size - 1}, found {ids.min()} to {ids.max()}"
            raise UsageError("ids", problem, "Encode with the space of `estimator.space`")

    def _refuse_missing(self, values: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        if self.missing == "raise" and (bad := np.isnan(values)).any():
            self._refuse(ids[bad.argmax()].tolist())

    def explain(self, architecture: Any) -> Answer:  # noqa: ANN401 - each space has its own type
        """Predict one architecture, and say how far it is from what was measured; never raises for that."""
        ids = self._slot_ids(architecture)
        with torch.inference_mode():
            value = float(self._net(torch.tensor([ids])))
            distance = None if self._distance is None else float(self._distance(torch.tensor([ids])))
        unmeasured = self._unmeasured(ids)
        return Answer(value, unmeasured, bool(unmeasured) and value == value, distance)  # NaN was not estimated

    def _slot_ids(self, architecture: Any) -> list[int]:  # noqa: ANN401
        if isinstance(architecture, Mapping):
            architecture = self.space.from_json(architecture)
        return self.space.slot_ids(architecture)

    def _encode(self, architectures: Sequence[Any]) -> NDArray[np.int64]:
        ids = [self._slot_ids(architecture) for architecture in architectures]
        return np.array(ids, dtype=np.int64).reshape(len(ids), self.card.slots)

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
    """Return what `net` answers for ids [batch, slots], [batch, ...], asking for `chunk` of them at once.

    A chunk holds networks of like length, because a recurrent net reads as far as the longest.
    """
    if not len(ids):
        return np.empty(0, dtype=np.float32)  # a recurrent net cannot read a batch of none
    with torch.inference_mode():
        if chunk is None or len(ids) <= chunk:
            return net(torch.from_numpy(ids)).numpy()
        order = np.argsort((ids >= 0).sum(1), kind="stable")
        chunks = [order[begin : begin + chunk] for begin in range(0, len(ids), chunk)]
        found = torch.cat([net(torch.from_numpy(ids[rows])) for rows in chunks]).numpy()
    values = np.empty_like(found)
    values[order] = found
    return values


def intervals_of(
    net: Callable[[Tensor], Tensor], card: PredictorCard, ids: NDArray[np.int64], coverage: float, where: str
) -> Intervals:
    """Return the intervals of encodings, [batch, slots], by a net that was exported with its calibration.

    Raises:
        UsageError: If `coverage` is no number between 0 and 1.
        ArtefactError: Naming `where`, if the card has no calibration, or one of too few networks for `coverage`.
    """
    check_coverage(coverage)
    if card.calibration is None or card.domain is None:
        problem = "expected a predictor with a calibration, found one that was fitted before latpred had intervals"
        raise ArtefactError(where, problem, "Fit it again, and export it")
    bound = np.float32(quantile(card.calibration.scores, coverage, where))
    parts: Callable[[Tensor], tuple[Tensor, Tensor]] = getattr(net, "parts")  # noqa: B009 - no net of mypy's has it
    ids = np.ascontiguousarray(ids, dtype=np.int64)
    found = predict_in_chunks(lambda rows: torch.stack(parts(rows), dim=1), ids, card.batch_chunk)
    value, unit = found.reshape(-1, 2).T
    return Intervals(np.maximum(value - bound * unit, np.float32(0)), value + bound * unit, value, float(coverage))


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
