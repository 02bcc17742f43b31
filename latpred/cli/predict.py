"""`latpred predict`."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from latpred.cli.parser import command_parser
from latpred.errors import ConfigError, UsageError
from latpred.estimator import Answer, Estimator
from latpred.report.tables import print_answers


def run(arguments: list[str]) -> int:
    """Answer for architectures with an exported predictor."""
    parser = command_parser("predict", run)
    parser.add_argument("predictor", type=Path, help="a .ts or .onnx of `latpred export`; a .ts is a program: trust it")
    parser.add_argument("--architecture", type=Path, help="JSON file of one architecture or a list of them")
    parser.add_argument("--sample", type=int, help="draw that many architectures of the predictor's space instead")
    parser.add_argument("--seed", type=int, help="seed of the drawing; without one, each call draws others")
    parser.add_argument(
        "--missing", choices=["raise", "nan", "estimate"], default="raise", help="unmeasured primitives"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if (options.architecture is None) == (options.sample is None):
        raise UsageError("latpred predict", "expected either --architecture FILE or --sample N", "Give one of them")
    estimator = Estimator(options.predictor, options.missing)
    architectures = _architectures(estimator, options)
    answers = [_answer(estimator, architecture) for architecture in architectures]
    if options.json:
        print(json.dumps(_to_json(estimator, architectures, answers)))
    else:
        print_answers(estimator.card, [estimator.space.to_json(a) for a in architectures], answers)
    return 0


def _architectures(estimator: Estimator, options: Any) -> list[Any]:  # noqa: ANN401 - jsonargparse's namespace
    space = estimator.space
    if options.sample is not None:
        if options.sample < 1:
            raise UsageError("--sample", f"expected an integer >= 1, found {options.sample}", "Mend it")
        rng = Random(options.seed)  # noqa: S311 - drawing architectures is no secret
        return [space.sample(rng) for _ in range(options.sample)]
    path: Path = options.architecture
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(str(path), f"expected the JSON of an architecture, got: {reason}", "Mend the file") from None
    return [space.from_json(entry) for entry in (value if isinstance(value, list) else [value])]


def _answer(estimator: Estimator, architecture: Any) -> Answer:  # noqa: ANN401 - each space has its own type
    if estimator.missing == "raise":
        estimator(architecture)  # names the unmeasured primitives
    return estimator.explain(architecture)


def _to_json(estimator: Estimator, architectures: list[Any], answers: list[Answer]) -> dict[str, Any]:
    card = estimator.card
    return {
        "metric": card.metric,
        "unit": card.unit,
        "device": card.device.to_dict(),
        "predictor": card.predictor,
        "answers": [
            {
                "architecture": estimator.space.to_json(architecture),
                "value": answer.value if answer.value == answer.value else None,  # JSON has no NaN
                "all_measured": not answer.unmeasured,
                "unmeasured": [primitive.to_dict() for primitive in answer.unmeasured],
                "estimated": answer.estimated,
            }
            for architecture, answer in zip(architectures, answers, strict=True)
        ],
    }
