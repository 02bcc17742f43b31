"""Which file is of which network and run: from its path alone."""

from pathlib import Path

import pytest

from latpred.errors import UsageError
from latpred.hardware.results import find_files, place_of

A, B = "3ddcaec06daa6d77", "4c1a4abcb8523dab"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{A}/0/times.json", (A, 0)),
        (f"{A}/0.times.json", (A, 0)),
        (f"{A}.0.times.json", (A, 0)),
        (f"{A}.run3.log", (A, 3)),
        (f"{A}-2.log", (A, 2)),
        (f"{A}_run_12/x.log", (A, 12)),
        (f"{A}.times.json", (A, None)),
        (f"{A}_2026-01-02_10-11-12_123.json", (A, None)),
        (f"2024/{A}/x.log", (A, None)),
        (f"board/{A}.log", (A, None)),
        (f"{A}/{A}.1.log", (A, 1)),
        (f"prim_{A}/1/x.log", (f"prim_{A}", 1)),
        ("everything.csv", (None, None)),
        ("0/everything.csv", (None, None)),
        (f"{A}f/x.log", (None, None)),  # 17 digits
    ],
)
def test_place(path, expected):
    assert place_of(Path(path).parts) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [(f"{A}/{B}.log", f"expected one network in the path, found {A} and {B}"), (f"{A}/0/1.log", "one run .* 0 and 1")],
)
def test_a_path_that_tells_two_is_refused(path, message):
    with pytest.raises(ValueError, match=message):
        place_of(Path(path).parts)


def test_files_are_put_together_in_one_order(tmp_path):
    for name in (f"{B}/1/x", f"{A}.1.log", f"{A}.1.json", f"{A}.0.log", "all.csv", f"{A}/{B}", ".hidden", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / f"{B}.log").write_text("x")
    (tmp_path / "device.yaml").write_text("x")
    groups, unplaced = find_files(tmp_path)
    found = [(group.model, group.run, [str(path.relative_to(tmp_path)) for path in group.paths]) for group in groups]
    assert found == [
        (None, None, ["all.csv"]),
        (A, 0, [f"{A}.0.log"]),
        (A, 1, [f"{A}.1.json", f"{A}.1.log"]),
        (B, 1, [f"{B}/1/x"]),
    ]
    assert [item.path.name for item in unplaced] == [B]


def test_links_do_not_lead_out_of_the_folder(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / f"{A}.log").write_text("x")
    (tmp_path / "results" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(UsageError, match="results: expected files of results, found none"):
        find_files(tmp_path / "results")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere: expected a folder of results, found none"):
        find_files(tmp_path / "nowhere")
