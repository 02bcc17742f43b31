"""`latpred models`."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from latpred.cli.parser import command_parser
from latpred.pretrained import Pretrained, pretrained_names, read_pretrained

_WIDTH = 160
"""Characters of the table where the output is no terminal."""


def run(arguments: list[str]) -> int:
    """List the predictors that come with latpred."""
    parser = command_parser("models", run)
    parser.add_argument("--json", action="store_true", help="print JSON, with all that is known of each")
    options = parser.parse_args(arguments)
    found = [read_pretrained(name) for name in pretrained_names()]
    if options.json:
        print(json.dumps([model.to_json() for model in found]))
        return 0
    _print(found)
    for model in found:
        print(f'latpred.load("{model.name}")  {model.machine["note"]}')
    return 0


def _print(models: list[Pretrained]) -> None:
    table = Table(title="predictors that come with latpred; errors on networks that nothing has seen")
    table.add_column("name", no_wrap=True)
    for header in ("device", "predictor", "made with"):
        table.add_column(header)
    for header in ("trained on", "held out", "MAPE %", "label noise %"):
        table.add_column(header, justify="right")
    for model in models:
        card = model.card
        table.add_row(
            model.name,
            str(card.device),
            f"{card.predictor}, {card.metric}",
            f"latpred {card.versions['latpred']}, torch {card.versions['torch']}",
            str(len(card.training_network_ids)),
            str(model.measured["held_out"]),
            f"{100 * card.errors['test']['mape']:.2f}",
            f"{100 * model.measured['label_noise']:.2f}",
        )
    console = Console()
    (console if console.is_terminal else Console(width=_WIDTH)).print(table)
