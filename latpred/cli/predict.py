"""`latpred predict`."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from latpred.answers import Answer, Interval
from latpred.cli.parser import command_parser
from latpred.errors import ConfigError, UsageError
from latpred.estimator import Estimator
from latpred.intervals import check_coverage
from latpred.report.tables import print_answers


def run(arguments: list[str]) -> int:
    """Answer for architectures with an exported predictor."""
    parser = command_parser("predict", run)
    of_predictor = "a .ts or .onnx of `latpred export` (a .ts is a program: trust it), or a name of `latpred models`"
    parser.add_argument("predictor", type=Path, help=of_predictor)
    parser.add_argument("--architecture", type=Path, help="JSON file of one architecture or a list of them")
    parser.add_argument("--sample", type=int, help="draw that many architectures of the predictor's space instead")
    parser.add_argument("--seed", type=int, help="seed of the drawing; without one, each call draws others")
    parser.add_argument(
        "--missing", choices=["raise", "nan", "estimate"], default="raise", help="unmeasured primitives"
    )
    parser.add_argument("--interval", type=float, help="coverage of intervals to print, such as 0.9")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if (options.architecture is None) == (options.sample is None):
        raise UsageError("latpred predict", "expected either --architecture FILE or --sample N", "Give one of them")
    if options.interval is not None:
        check_coverage(options.interval, "--interval")
    estimator = Estimator(options.predictor, options.missing)
    architectures = _architectures(estimator, options)
    answers = [_answer(estimator, architecture) for architecture in architectures]
    intervals = (
        None if options.interval is None else [estimator.predict_interval(a, options.interval) for a in architectures]
    )
    if options.json:
        print(json.dumps(_to_json(estimator, architectures, answers, intervals)))
    else:
        print_answers(estimator.card, [estimator.space.to_json(a) for a in architectures], answers, intervals)
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


def _to_json(
    estimator: Estimator, architectures: list[Any], answers: list[Answer], intervals: list[Interval] | None
) -> dict[str, Any]:
    card = estimator.card
    bounds = [{}] * len(answers) if intervals is None else [_bounds(interval) for interval in intervals]
    return {
        "metric": card.metric,
        "unit": card.unit,
        "device": card.device.to_dict(),
        "predictor": card.predictor,
        "answers": [
            {
                "architecture": estimator.space.to_json(architecture),
                "value": _number(answer.value),
                "all_measured": not answer.unmeasured,
                "unmeasured": [primitive.to_dict() for primitive in answer.unmeasured],
                "estimated": answer.estimated,
                "distance": answer.distance,
                "out_of_distribution": answer.out_of_distribution,
            }
            | bound
            for architecture, answer, bound in zip(architectures, answers, bounds, strict=True)
        ],
    }


def _bounds(interval: Interval) -> dict[str, Any]:
    bounds = {"lower": _number(interval.lower), "upper": _number(interval.upper), "coverage": interval.coverage}
    return {"interval": bounds}


def _number(value: float) -> float | None:
    """Return `value`, None for NaN, which JSON does not have."""
    return value if value == value else None
