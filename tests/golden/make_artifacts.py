"""Writes the artefacts of the present schema into a new folder: `python tests/golden/make_artifacts.py v2`.

Released folders are never written again: they stand for files that users have.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from cli_paths import TABLE  # noqa: E402 - found through the line above
from measured import make_measured, tiny_space  # noqa: E402

from latpred.cli import main as main_of_latpred  # noqa: E402
from latpred.export import export  # noqa: E402
from latpred.genprof import assemble, write_prof_dir  # noqa: E402
from latpred.models import load_checkpoint  # noqa: E402


def main() -> None:
    """Write PROF_DIR, dataset, checkpoint and exports, and what they answer."""
    folder = HERE / "artifacts" / sys.argv[1]
    folder.mkdir(parents=True)
    space, rng = tiny_space(), Random(0)
    write_prof_dir(folder / "prof", space, assemble(space).networks, sorted(space.all_primitives()))
    dataset = make_measured(folder / "dataset", space, networks=12, rounds=2, seed=0)
    with tempfile.TemporaryDirectory() as runs, contextlib.chdir(runs):  # checkpoints keep the paths they were given
        if main_of_latpred(["fit", "--config", TABLE, "--data.dataset", str(folder / "dataset"), "--runs", "runs"]):
            raise SystemExit("fit failed")
        (checkpoint,) = Path("runs").glob("checkpoints/*/table/*/best.ckpt")
        shutil.copy(checkpoint, folder / "best.ckpt")
    predictor = load_checkpoint(folder / "best.ckpt")
    export(predictor.net, predictor.fitted_card, folder / "table.ts", ["ts", "onnx"])
    architectures = [space.sample(rng) for _ in range(3)]
    answers = [float(predictor.net(_ids(space, architecture))) for architecture in architectures]
    expected = {
        "prof_networks": [network.network_id for network in assemble(space).networks],
        "dataset_version": dataset.version,
        "runs": len(dataset.read().runs),
        "overall_ms": float(dataset.read().runs["overall"].sum()),
        "answers": [
            {"architecture": space.to_json(architecture), "ms": value}
            for architecture, value in zip(architectures, answers, strict=True)
        ],
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def _ids(space, architecture):
    import torch

    return torch.from_numpy(space.encode(architecture))[None]


if __name__ == "__main__":
    main()
