"""net + card -> TorchScript (.ts), torch.export (.pt2) and ONNX; .ts and .onnx back.

TorchScript is deprecated in PyTorch, but it is what loads with torch alone in any process, C++ too: all of it is in
this file, beside its successors. A `.ts` and a `.pt2` are programs: load those you trust. latpred never loads a
`.pt2`, because `torch.export.load` may unpickle what it finds.
"""

from __future__ import annotations

import copy
import logging
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latpred.card import PredictorCard
from latpred.errors import ArtefactError, CardError, UsageError
from latpred.intervals import AllParts, CalibratedNet, calibrated_net

CARD_FILE = "card.json"
"""Name of the card inside a `.ts` and a `.pt2`; an ONNX file has it in its metadata under this name."""

OUTPUTS = ("prediction", "unit", "distance")
"""Of an ONNX file with intervals, [batch] each; one without has the first."""


def export(
    net: nn.Module, card: PredictorCard, path: Path, formats: Sequence[str], *, overwrite: bool = False
) -> list[Path]:
    """Write `net` beside its card, in several formats.

    Every format takes ids int64 [batch, slots], any batch, and gives float32 [batch] in the card's unit. Where the card
    has a calibration and a domain, a `.ts` has the methods `interval` and `distance` as well (`CalibratedNet`), and an
    `.onnx` the outputs `unit` and `distance` behind `prediction`.

    Args:
        net: The net of a fitted predictor.
        card: Its card.
        path: Where to; the suffix is replaced by each format's.
        formats: Of `ts`, `pt2`, `onnx`.
        overwrite: Whether an existing file is replaced.

    Returns:
        The files, in the order of `formats`.

    Raises:
        UsageError: If a format is unknown or none is given.
        ArtefactError: If a file exists and `overwrite` is False; nothing is written then.
    """
    if unknown := [name for name in formats if name not in WRITERS]:
        raise UsageError("--formats", f"expected some of {','.join(WRITERS)}, found '{unknown[0]}'", "Mend the list")
    if not formats:
        raise UsageError("--formats", f"expected some of {','.join(WRITERS)}, found none", "Name one")
    targets = [path.with_suffix(f".{name}") for name in formats]
    if not overwrite and (standing := [target for target in targets if target.exists()]):
        problem = "expected a path where nothing stands, found a file"
        raise ArtefactError(str(standing[0]), problem, "Choose another path, or replace it with --overwrite")
    net = with_calibration(copy.deepcopy(net).cpu().eval(), card)
    for name, target in zip(formats, targets, strict=True):
        with _draft(target, overwrite=overwrite) as draft:
            WRITERS[name](net, card, draft)
    return targets


def with_calibration(net: nn.Module, card: PredictorCard) -> nn.Module:
    """Return `net` with the calibration and the domain of its card, if it has them (`CalibratedNet`)."""
    if card.calibration is None or card.domain is None:
        return net
    return calibrated_net(net, card.calibration, card.domain, card.vocabulary).eval()


@contextmanager
def _draft(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary path that becomes `target` when all is written, so that nobody reads half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        draft = Path(folder) / target.name
        yield draft
        if overwrite:
            draft.replace(target)
        else:
            os.link(draft, target)  # fails where another process has put something meanwhile


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the deprecation of the calls in this file, and what the exporters say of packages that nobody needs."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)  # it warns that torchvision is not installed
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\).*")  # torch about its own exporter
            warnings.filterwarnings("ignore", r"`torch\.jit\..*` is (deprecated|not supported)", DeprecationWarning)
            # torch.export about nn.LSTM's own list of its weights
            warnings.filterwarnings(
                "ignore", r"The tensor attributes self\..*_flat_weights.* were assigned during export"
            )
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(onnxscript|torch)\.")
            yield
    finally:
        registration.setLevel(level)


def _example(card: PredictorCard) -> Tensor:
    # Two rows: a batch of one would be taken for a constant by torch.export.
    return torch.full((2, card.slots), -1, dtype=torch.int64)


def _write_torchscript(net: nn.Module, card: PredictorCard, path: Path) -> None:
    with _quiet():
        script: Any = torch.jit.script(net)  # torch.jit has no types
        full = path.with_suffix(".full")
        script.save(str(full), _extra_files={CARD_FILE: card.to_json()})
    # Without the debug records: they hold paths of this machine, and serve tracebacks into our sources only.
    with zipfile.ZipFile(full) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(entry.filename, source.read(entry))


def _exported(net: nn.Module, card: PredictorCard) -> torch.export.ExportedProgram:
    with _quiet():
        program = torch.export.export(net, (_example(card),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it holds paths of this machine
    return program


def _write_pt2(net: nn.Module, card: PredictorCard, path: Path) -> None:
    program = _exported(net, card)
    with _quiet():
        torch.export.save(program, path, extra_files={CARD_FILE: card.to_json()})


def _write_onnx(net: nn.Module, card: PredictorCard, path: Path) -> None:
    import onnx

    names = OUTPUTS if isinstance(net, CalibratedNet) else OUTPUTS[:1]
    whole = AllParts(net) if isinstance(net, CalibratedNet) else net
    with _quiet():
        program = torch.onnx.export(
            _exported(whole, card), input_names=["ids"], output_names=list(names), verbose=False
        )
    if program is None:
        raise ArtefactError(str(path), "torch.onnx.export gave no program", "Export to ts or pt2")
    model = program.model_proto
    for node in [*model.graph.node, *(node for function in model.functions for node in function.node)]:
        del node.metadata_props[:]  # the exporter's stack traces hold paths of this machine
    onnx.helper.set_model_props(model, {CARD_FILE: card.to_json()})
    onnx.save(model, path)


WRITERS: Mapping[str, Callable[[nn.Module, PredictorCard, Path], None]] = {
    "ts": _write_torchscript,
    "pt2": _write_pt2,
    "onnx": _write_onnx,
}


def load_torchscript(path: Path) -> tuple[torch.jit.ScriptModule, PredictorCard]:
    """Read a `.ts` that `export` wrote. It is a program: load those you trust.

    Raises:
        ArtefactError: If the file is missing or cannot be read.
        CardError: If it has no card.
    """
    _check_there(path)
    extra = {CARD_FILE: ""}
    try:
        with _quiet():
            read: Any = torch.jit.load  # torch.jit has no types
            net = read(str(path), map_location="cpu", _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        problem = f"expected TorchScript that latpred exported, could not read it: {reason}"
        raise ArtefactError(str(path), problem, "Export it again") from None
    text = extra[CARD_FILE]
    return net.eval(), _card(text.decode() if isinstance(text, bytes) else text, path)


class OnnxNet:
    """A net that ONNX Runtime runs, with the methods that a `.ts` has."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 - onnxruntime has no types
        import onnxruntime

        self._session = session
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True  # a prediction alone computes no distance

    def __call__(self, ids: Tensor) -> Tensor:
        """Map ids [batch, slots] to predictions [batch]."""
        return self._run(ids, OUTPUTS[:1])[0]

    def parts(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Map ids [batch, slots] to predictions and what a score is worth, [batch] each."""
        value, unit = self._run(ids, OUTPUTS[:2])
        return value, unit

    def distance(self, ids: Tensor) -> Tensor:
        """Map ids [batch, slots] to distances from the training networks, [batch]."""
        return self._run(ids, OUTPUTS[2:])[0]

    def _run(self, ids: Tensor, names: Sequence[str]) -> list[Tensor]:
        return [torch.from_numpy(found) for found in self._session.run(names, {"ids": ids.numpy()}, self._options)]


def load_onnx(path: Path) -> tuple[OnnxNet, PredictorCard]:
    """Read an `.onnx` that `export` wrote, to be run by ONNX Runtime on one thread.

    Raises:
        ArtefactError: If the file is missing or cannot be read.
        CardError: If it has no card.
    """
    import onnxruntime

    _check_there(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ArtefactError(str(path), f"expected ONNX, could not read it: {reason}", "Export it again") from None

    return OnnxNet(session), _card(session.get_modelmeta().custom_metadata_map.get(CARD_FILE, ""), path)


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise ArtefactError(str(path), "expected an exported predictor, found no file there", "Check the path")


def _card(text: str, path: Path) -> PredictorCard:
    if not text:
        raise CardError(str(path), "expected a file that latpred exported, found one without a card", "Export it again")
    return PredictorCard.from_json(text, str(path))
