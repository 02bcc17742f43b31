"""`latpred dataset report`."""

import json
import re

import pytest
from measured import append_runs, make_measured, measured_runs, tiny_space

from latpred.cli import main
from latpred.dataset import Dataset
from latpred.genprof import sampled
from latpred.report.additivity import additivity


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two sessions of the same twelve networks; the second one is noisy."""
    path = tmp_path_factory.mktemp("report") / "data"
    dataset = make_measured(path, tiny_space(), networks=12, rounds=6, assembled=False)
    append_runs(dataset, measured_runs(sampled(tiny_space(), 12, 0), 6, session_id="s1", seed=1, noise=0.15))
    return path


def error_of(capsys, command, code):
    capsys.readouterr()
    assert main(command) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("latpred: error: ")


def row_of(out, *words):
    """Return the cells of the one row of a table that begins with `words`."""
    rows = [re.split(r"\s*│\s*", line.strip(" │")) for line in out.splitlines() if "│" in line]
    (row,) = [row for row in rows if row[: len(words)] == list(words)]
    return row[len(words) :]


def test_the_tables(data, capsys):
    assert main(["dataset", "report", str(data)]) == 0
    out = capsys.readouterr().out
    report, _ = additivity(Dataset.open(data), tiny_space().vocabulary().primitives)
    assert row_of(out, "space") == ["mnasnet_ofa"]
    assert row_of(out, "device") == ["Test CPU, torch 2.13.0, float32, 1 thread, batch 1, nchw"]
    assert row_of(out, "networks") == ["12 sampled, 0 assembled"]
    assert row_of(out, "runs") == ["144 in 2 sessions"]
    noise = report.noise
    names = ("good", "fair", "poor")
    counts = [f"{getattr(noise, name)} {name} ({getattr(noise, name) / 12:.0%})" for name in names]
    assert row_of(out, "estimates") == [", ".join(counts)]
    assert row_of(out, "half-width of their 95 % intervals") == [f"{100 * noise.half_width_median:.2f} % in the median"]
    for network in noise.poorest:
        cells = [network.quality, f"{100 * network.half_width:.2f} %", ", ".join(network.why)]
        assert row_of(out, network.network_id) == cells
    for session in report.sessions:
        cells = row_of(out, session.session_id)
        shares = (session.preempted, session.noise_before, session.noise_after)
        assert cells[:4] == ["72", *(f"{100 * share:.2f} %" for share in shares)]
        assert cells[4] == (str(session.window_runs) if session.window_runs else "all")
        assert cells[5] == ("" if session.window_s is None else f"{session.window_s:.2f}")
        assert cells[6:] == [f"{100 * session.level:.2f} %", f"{100 * session.swing:.2f} %"]
    (whole,) = report.whole_and_blocks
    ratios = [f"{ratio:.3f}" for ratio in (whole.ratio_5, whole.ratio_median, whole.ratio_95)]
    assert row_of(out, "timestamp") == ["12", *ratios, f"{100 * whole.overhead_median:.2f} %"]
    for name, errors in (("as stored", report.leave_one_out.as_stored), ("scaled", report.leave_one_out.scaled)):
        assert row_of(out, name) == [
            str(errors.networks),
            f"{100 * errors.signed_median:+.2f} %",
            f"{100 * errors.signed_90:+.2f} %",
            f"{100 * errors.absolute_median:.2f} %",
            f"{100 * errors.absolute_90:.2f} %",
            f"{errors.slope:.3f}",
            f"{errors.spearman:.3f}",
        ]
    assert "session s1 stands out: its noise is" in out
    assert "leave it out with --data.exclude_sessions '[s1]'" in out
    assert f"primitives of the space: {report.coverage.measured} of 18 measured, each in" in out


def test_the_json_holds_fractions_and_the_figure_is_drawn(data, capsys, tmp_path):
    command = ["dataset", "report", str(data), "--json", f"{tmp_path}/new/r.json", "--figure", f"{tmp_path}/new/r.png"]
    assert main(command) == 0
    out = capsys.readouterr().out.replace("\n", "")
    assert f"wrote {tmp_path}/new/r.json" in out
    assert f"wrote {tmp_path}/new/r.png" in out
    assert (tmp_path / "new/r.png").read_bytes().startswith(b"\x89PNG")
    content = json.loads((tmp_path / "new/r.json").read_text())
    report, _ = additivity(Dataset.open(data), tiny_space().vocabulary().primitives)
    assert content == json.loads(json.dumps(report.to_dict()))
    assert (content["metric"], content["dataset_version"], content["runs"]) == ("latency_ms", 2, 144)
    quiet, noisy = content["sessions"]
    assert quiet["noise_after"] < 0.02
    assert noisy["noise_after"] == pytest.approx(0.15, rel=0.35)
    assert (quiet["preempted"], noisy["preempted"]) == (0.0, 0.0)
    (whole,) = content["whole_and_blocks"]
    assert whole["ratio_median"] == pytest.approx(1.0, abs=0.02)
    assert 0 < whole["overhead_median"] < 0.01  # 1 us of a network
    assert content["leave_one_out"]["as_stored"]["absolute_median"] < 0.05
    assert content["excluded_sessions"] == []


def test_a_session_is_left_out(data, capsys, tmp_path):
    command = ["dataset", "report", str(data), "--exclude-sessions", "s1", "--json", f"{tmp_path}/r.json"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert row_of(out, "runs") == ["72 in 1 session, without s1"]
    assert "stands out" not in out
    content = json.loads((tmp_path / "r.json").read_text())
    assert [session["session_id"] for session in content["sessions"]] == ["s0"]
    assert content["excluded_sessions"] == ["s1"]


def test_what_stands_there_is_left_as_it_is(data, capsys, tmp_path):
    for option, name in (("--json", "r.json"), ("--figure", "r.png")):
        path = tmp_path / name
        path.write_text("mine")
        message = error_of(capsys, ["dataset", "report", str(data), option, str(path)], 2)
        assert message == f"{path}: expected a path where nothing stands for {option}, found one. Choose another."
        assert path.read_text() == "mine"
        assert capsys.readouterr().out == ""


def test_a_figure_is_a_png(data, capsys, tmp_path):
    message = error_of(capsys, ["dataset", "report", str(data), "--figure", f"{tmp_path}/r.pdf"], 2)
    assert message == f"{tmp_path}/r.pdf: expected a path that ends in .png. Mend --figure."
    assert not (tmp_path / "r.pdf").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--metric", "energy_mj"], 1, "data: expected ok runs with energy_mj, found those with latency_ms. Ask"),
        (["--metric", "watts"], 2, "expected one of latency_ms, energy_mj, memory_mb, found 'watts'"),
        (["--exclude-sessions", "s0", "s1"], 1, "ok runs with latency_ms beside the excluded sessions, found none"),
        (["--exclude-sessions", "s9"], 2, "found 's9'. Take some of s0, s1."),
    ],
)
def test_bad_options(data, capsys, options, code, message):
    assert message in error_of(capsys, ["dataset", "report", str(data), *options], code)


def test_no_dataset(capsys, tmp_path):
    message = error_of(capsys, ["dataset", "report", f"{tmp_path}/no"], 1)
    assert message.startswith(f"{tmp_path}/no: expected a dataset, found no readable card.json there")
