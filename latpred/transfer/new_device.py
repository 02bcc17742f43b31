"""A new device from source devices and its own few measurements: the net, its card, and how good it is."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor

from latpred.card import METRIC_UNITS, PredictorCard, library_versions
from latpred.dataset import Split
from latpred.errors import DatasetError
from latpred.intervals import calibrate, fit_domain
from latpred.models.metrics import prediction_metrics
from latpred.primitive import Primitive
from latpred.transfer.measured import MeasuredDevice
from latpred.transfer.net import TransferNet
from latpred.transfer.sources import FittedSources
from latpred.transfer.threads import one_thread

FEWEST_JUDGED = 3
"""Measured networks from which on leaving some out tells an error."""
_FOLDS = 20
"""The most times that some are left out."""
_CHUNK = 512
"""Encodings at once: what is compared with the centers then stays in the cache."""
_OFF = 2.0
"""A measurement that differs from what the others say by more than this factor is told of."""
_HELD_OUT = Split(seed=0, val=0.2, test=0.2)
"""As fits have it by default, so that `latpred compare` finds networks that neither has seen."""


@dataclass(frozen=True, eq=False)
class Transferred:
    """A predictor of a new device."""

    net: TransferNet
    card: PredictorCard
    left_out: Tensor | None
    """What was predicted for each measured network from the others, [measured]; None of too few."""
    seconds: float
    """Time since the sources were fitted, s."""

    def off(self, new: MeasuredDevice) -> list[str]:
        """Return a line for each measurement that lies far off what the others say."""
        if self.left_out is None:
            return []
        unit, found = self.card.unit, []
        for network_id, measured, said in zip(
            new.network_ids, new.latency.tolist(), self.left_out.tolist(), strict=True
        ):
            if max(measured / said, said / measured) > _OFF:
                found.append(
                    f"network {network_id} has {measured:.4g} {unit}, the others say {said:.4g} {unit}: "
                    "it counts the less for that; measure it again"
                )
        return found


@one_thread()
def transfer(sources: FittedSources, new: MeasuredDevice) -> Transferred:
    """Adapt to the device that `new` was measured on.

    Raises:
        DatasetError: If all of several networks have the same value.
    """
    began = time.perf_counter()
    if len(new) > 1 and float(new.latency.max()) == float(new.latency.min()):
        unit = METRIC_UNITS[new.metric]
        problem = f"expected networks that differ in {new.metric}, found {new.latency[0]:.6g} {unit} for all {len(new)}"
        raise DatasetError(str(new.path), problem, "Check the measurement: its clock may be too coarse")
    net = sources.adapt(new).net()
    left_out = leave_out(sources, new) if len(new) >= FEWEST_JUDGED else None
    seconds = time.perf_counter() - began
    return Transferred(net, _card(sources, new, left_out, seconds), left_out, seconds)


@one_thread()
def leave_out(sources: FittedSources, new: MeasuredDevice) -> Tensor:
    """Return what is predicted for each measured network without it, [networks]; of many, several are left out at once.

    Args:
        sources: Fitted before; they may have been measured on the same networks.
        new: At least 2 networks.
    """
    found = torch.empty_like(new.latency)
    fold_of = torch.arange(len(new)) % min(len(new), _FOLDS)
    for left in range(int(fold_of.max()) + 1):
        kept, out = (fold_of != left).nonzero()[:, 0], (fold_of == left).nonzero()[:, 0]
        found[out] = sources.adapt(new.take(kept)).mean(new.ids[out])
    return found


def errors_of(predicted: Tensor, target: Tensor) -> dict[str, float]:
    """Return the metrics of predictions, [networks] both; ranks only where there are any."""
    metrics = prediction_metrics("")
    metrics.update(predicted.float(), target.float())
    found = {name: float(value) for name, value in metrics.compute().items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _card(sources: FittedSources, new: MeasuredDevice, left_out: Tensor | None, seconds: float) -> PredictorCard:
    vocabulary = sources.space.vocabulary()
    known = torch.cat([new.ids, *(device.ids for device in sources.devices)])
    measured = set(known.flatten().tolist())
    entries = enumerate(vocabulary.by_id)
    return PredictorCard(
        predictor="transfer",
        predictor_parameters=_parameters(sources, new),
        chain=[],
        metric=new.metric,
        unit=METRIC_UNITS[new.metric],
        space=sources.space.card(),
        device=new.card.device,
        vocabulary=vocabulary,
        unmeasured_ids=[i for i, entry in entries if isinstance(entry, Primitive) and i not in measured],
        slots=sources.space.slots,
        batch_chunk=_CHUNK,
        dataset=new.path.name,
        dataset_version=new.version,
        split=asdict(_HELD_OUT),
        training_network_ids=list(new.network_ids),
        errors={} if left_out is None else {"left_out": errors_of(left_out, new.latency)},
        fit_seconds=sources.seconds + seconds,
        versions=library_versions(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        calibration=None if left_out is None else calibrate(left_out.numpy(), new.latency.numpy()),
        domain=fit_domain(vocabulary, sources.reference.numpy(), known.numpy()),
    )


def _parameters(sources: FittedSources, new: MeasuredDevice) -> dict[str, Any]:
    return {
        "sources": [
            {"dataset": device.path.name, "version": device.version, "device": device.card.device.to_dict()}
            for device in sources.devices
        ],
        "measured": len(new),
        "blocks": new.blocks is not None,
        "seed": sources.seed,
    }
