"""ensemble: fitted predictors, weighted by their errors on validation networks, as one net."""
# No `from __future__ import annotations` here: torch.jit.script must read the types of the net.

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from latpred.card import PredictorCard
from latpred.config import construct
from latpred.errors import CardError, ConfigError
from latpred.models.base import LatencyPredictor
from latpred.models.cards import check_same_use
from latpred.models.closed_form import ClosedFormPredictor
from latpred.models.weighting import simplex_weights
from latpred.preprocessing import Batch, BlockTable

WHERE = "model.members"
_AGAIN = "Fit the member again on this dataset"
_DESCRIBED = frozenset({"predictor", "parameters", "chain"})
"""What a card has of each member."""


class EnsembleNet(nn.Module):
    """The weighted mean of nets.

    Args:
        members: Nets of one vocabulary.
    """

    weight: Tensor
    error: Tensor

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weight", torch.full((len(members),), torch.nan))
        self.register_buffer("error", torch.tensor(torch.nan))

    def forward(self, ids: Tensor) -> Tensor:
        """Map vocabulary ids [batch, slots], -1 = nothing there, to predictions [batch], in the metric's unit.

        It is NaN where a member's is: a mean of the others would be another predictor than the one that was scored.
        """
        return (self.answers(ids) * self.weight).sum(1)

    @torch.jit.export
    def spread(self, ids: Tensor) -> Tensor:
        """Return the standard deviation of each prediction, [batch], in the metric's unit.

        The members' differences, and what they all got wrong of the validation networks.
        """
        answers = self.answers(ids)
        mean = (answers * self.weight).sum(1)
        variance = ((answers - mean[:, None]).square() * self.weight).sum(1)
        return (variance + (self.error * mean).square()).sqrt()

    def answers(self, ids: Tensor) -> Tensor:
        """Return what each member says, [batch, members]."""
        found: list[Tensor] = []
        for member in self.members:
            found.append(member(ids).to(torch.float32))  # noqa: PERF401 - TorchScript unrolls loops only
        return torch.stack(found, dim=1)


class EnsemblePredictor(ClosedFormPredictor):
    """Fitted predictors, weighted on the validation networks; its own error there is too good by the weights.

    No weight is negative, and they add up to 1. Members come from their checkpoints and stay as they are; those of
    weight 0 are left out. All must be of one space, device, metric, vocabulary and split, which are the dataset's.

    Args:
        members: Their checkpoints, at least two. A card has descriptions instead, from which an ensemble's checkpoint
            is read without them.
    """

    name: ClassVar[str] = "ensemble"
    batch_chunk: ClassVar[int | None] = 256  # which is best for mlp and lstm, and does the others no harm
    needs: ClassVar[frozenset[str]] = frozenset({"block_sum"})
    legal_chains: ClassVar[tuple[tuple[str, ...], ...]] = (("block_sum",),)  # the members bring their own

    net: EnsembleNet

    def __init__(self, members: list[str | dict[str, Any]]) -> None:
        super().__init__()
        if len(members) < 2 and not any(isinstance(member, Mapping) for member in members):
            remedy = "Give --model.members '[one/best.ckpt, other/best.ckpt]', or let `latpred auto` choose them"
            raise ConfigError(WHERE, f"expected at least two checkpoints, found {len(members)}", remedy)
        self._given = list(members)
        self.members: tuple[LatencyPredictor, ...] = ()

    @property
    def parameters_json(self) -> dict[str, Any]:
        """Descriptions of the members: the checkpoints' paths mean nothing elsewhere."""
        return {"members": [_describe(member.fitted_card) for member in self.members] or self._given}

    def setup(self, stage: str) -> None:
        """Read the members before training, and refuse those that do not belong together."""
        if stage == "fit":
            self.members = self._read()
        super().setup(stage)

    def _read(self) -> tuple[LatencyPredictor, ...]:
        from latpred.models.checkpoint import load_checkpoint  # whose table of predictors names this class

        paths = [Path(member) for member in self._given if isinstance(member, str)]
        if len(paths) != len(self._given):
            problem = "expected checkpoints to be fitted again, found descriptions from a card"
            raise ConfigError(WHERE, problem, "Give the members' checkpoints")
        if len(set(paths)) != len(paths):
            raise ConfigError(WHERE, f"expected each checkpoint once, found {_first_twice(paths)} twice", "Mend it")
        members = tuple(load_checkpoint(path).train() for path in paths)  # Lightning warns of parts that do not train
        for path, member in zip(paths, members, strict=True):
            self._check(str(path), member)
        return members

    def _check(self, path: str, member: LatencyPredictor) -> None:
        """Refuse a member that is of something else than the data of this fit, or saw its held-out networks."""
        if isinstance(member, EnsemblePredictor):
            raise ConfigError(path, "expected a single predictor, found an ensemble", "Give its members")
        card, data = member.fitted_card, self.data
        check_same_use(card, data)
        for key, value in asdict(data.split).items():
            if card.split.get(key) != value:
                problem = (
                    f"the member and the dataset have different splits: {key} {card.split.get(key)} against {value}"
                )
                raise CardError(path, problem, "Give the members' --data.split_seed, --data.val and --data.test")
        if card.vocabulary != data.vocabulary:
            found = f"{len(card.vocabulary)} primitives against {len(data.vocabulary)}"
            raise CardError(path, f"the member and the dataset have different vocabularies: {found}", _AGAIN)
        held_out = {*data.network_ids("val"), *data.network_ids("test")}
        if seen := sorted(held_out.intersection(card.training_network_ids)):
            problem = f"the member was trained on {len(seen)} held-out networks, the first is {seen[0]}"
            raise CardError(path, problem, _AGAIN)

    def restore(self, card: PredictorCard) -> None:
        """Build an unfitted net from a card, with nets of the members that it describes."""
        from latpred.models.checkpoint import predictor_class  # as above

        members = []
        for told in card.predictor_parameters["members"]:
            if not isinstance(told, Mapping) or not told.keys() >= _DESCRIBED:
                problem = f"expected descriptions of the members, found {told!r}"
                raise CardError("card of an ensemble", problem, "Fit it again")
            where = f"{WHERE}: {told['predictor']}"
            member = construct(predictor_class(told["predictor"]), told["parameters"], where)
            parts = {"predictor": member.name, "predictor_parameters": told["parameters"], "chain": told["chain"]}
            member.restore(replace(card, **parts))
            members.append(member)
        self.members = tuple(members)
        super().restore(card)

    def make_net(self, front: nn.Module, table: BlockTable, slots: int) -> EnsembleNet:
        """Return the members' nets, without weights."""
        return EnsembleNet([member.net for member in self.members])

    def covered(self, ids: Tensor) -> Tensor:
        """Return which networks of `ids`, [batch, slots], all members can answer for, [batch]."""
        return torch.stack([member.covered(ids) for member in self.members]).all(0)

    def _unmeasured_ids(self) -> list[int]:
        return sorted({i for member in self.members for i in member.fitted_card.unmeasured_ids})

    def solve(self) -> None:
        """Weight the members by the validation networks that all of them can answer for."""
        batch = self.data.batch("val")
        batch = Batch(*(column.to(self.device) for column in batch))
        batch = Batch(*(column[self.covered(batch.ids)] for column in batch))
        with torch.no_grad():
            answers = self.net.answers(batch.ids).double()
        errors = (answers / batch.target[:, None].double() - 1).cpu().numpy()
        counts = batch.weight.double().cpu().numpy()
        weights = simplex_weights(errors, counts)
        left = np.average(np.square(errors @ weights), weights=counts)
        self._leave_out([member for member, weight in zip(self.members, weights, strict=True) if weight > 0])
        self.net.weight.copy_(torch.from_numpy(weights[weights > 0]))
        self.net.error.copy_(torch.tensor(np.sqrt(left)))

    def _leave_out(self, kept: list[LatencyPredictor]) -> None:
        """Go on with `kept` alone: a member of weight 0 would only cost time, and spoil what it cannot answer."""
        self.members = tuple(kept)
        self.net = EnsembleNet([member.net for member in kept]).to(self.device).train(self.training)
        self.card = replace(
            self.fitted_card, predictor_parameters=self.parameters_json, unmeasured_ids=self._unmeasured_ids()
        )


def _first_twice(paths: list[Path]) -> Path:
    return next(path for path in paths if paths.count(path) > 1)


def _describe(card: PredictorCard) -> dict[str, Any]:
    """Return what is needed to build a member's net again, beside what it shares with the ensemble."""
    return {"predictor": card.predictor, "parameters": card.predictor_parameters, "chain": card.chain}
