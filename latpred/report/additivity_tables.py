"""The additivity report on the terminal; shares and errors are in per cent here, and fractions everywhere else."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from latpred.card import SUMMABLE_METRICS
from latpred.report.additivity import AdditivityReport
from latpred.report.additivity_noise import NetworkNoise, SessionNoise
from latpred.report.additivity_sums import LeaveOneOut, SumErrors, WholeAndBlocks

_FULL_WIDTH = 160
"""Of lines that nobody's terminal breaks."""


def print_additivity(report: AdditivityReport) -> None:
    """Print a report: what there is, how noisy it is, how well it adds up, what it covers."""
    console = Console()
    console = console if console.is_terminal else Console(width=_FULL_WIDTH)
    console.print(_overview(report))
    if report.noise.poorest:
        console.print(_poorest(report.noise))
    console.print(_sessions(report.sessions))
    for line in session_hints(report):
        print(line)
    if report.metric not in SUMMABLE_METRICS:
        print(f"{report.metric} is a peak and no sum of blocks: there is nothing to add up")
        return
    if report.whole_and_blocks:
        console.print(_whole_and_blocks(report.whole_and_blocks))
    if report.leave_one_out is not None and report.leave_one_out.as_stored is not None:
        console.print(_leave_one_out(report.leave_one_out))
    for line in (*additivity_notes(report), *coverage_notes(report)):
        print(line)


def _overview(report: AdditivityReport) -> Table:
    noise = report.noise
    networks = noise.good + noise.fair + noise.poor
    counts = [f"{count} {name} ({count / networks:.0%})" for name, count in _qualities(noise)]
    table = Table(show_header=False, title=f"{report.metric}, version {report.dataset_version}")
    table.add_row("space", report.space)
    table.add_row("device", report.device)
    table.add_row("networks", f"{report.networks_sampled} sampled, {report.networks_assembled} assembled")
    excluded = f", without {', '.join(report.excluded_sessions)}" if report.excluded_sessions else ""
    table.add_row("runs", f"{report.runs} in {_count(len(report.sessions), 'session')}{excluded}")
    table.add_row("estimates", ", ".join(counts))
    table.add_row("half-width of their 95 % intervals", f"{_percent(noise.half_width_median)} in the median")
    table.add_row(
        "label noise, from odd and even rounds",
        f"{_percent(noise.label_noise_median)} in the median, {_percent(noise.label_noise_mean)} in the mean",
    )
    return table


def _qualities(noise: NetworkNoise) -> tuple[tuple[str, int], ...]:
    return ("good", noise.good), ("fair", noise.fair), ("poor", noise.poor)


def _poorest(noise: NetworkNoise) -> Table:
    table = Table("network", "quality", title="poorest estimates")
    table.add_column("half-width", justify="right")
    table.add_column("why")
    for network in noise.poorest:
        table.add_row(network.network_id, network.quality, _percent(network.half_width), ", ".join(network.why))
    return table


def _sessions(sessions: tuple[SessionNoise, ...]) -> Table:
    table = Table("session", title="noise of the sessions")
    for title in ("runs", "preempted", "noise before", "after", "window, runs", "s", "slower than quiet", "swing"):
        table.add_column(title, justify="right")
    for session in sessions:
        table.add_row(
            session.session_id,
            str(session.runs),
            _percent(session.preempted),
            _percent(session.noise_before),
            _percent(session.noise_after),
            str(session.window_runs) if session.window_runs else "all",
            "" if session.window_s is None else f"{session.window_s:.2f}",
            _percent(session.level),
            _percent(session.swing),
        )
    return table


def session_hints(report: AdditivityReport) -> list[str]:
    """Return one line for each session that stands out, or shares no network with others."""
    lines = [
        f"session {session.session_id} stands out: {' and '.join(session.stands_out)}; "
        f"leave it out with --data.exclude_sessions '[{session.session_id}]'"
        for session in report.sessions
        if session.stands_out
    ]
    for members in report.sessions_apart:
        name, verb = ("session", "shares") if len(members) == 1 else ("sessions", "share")
        lines.append(
            f"{name} {', '.join(members)} {verb} no network with the others: "
            "how much slower one was than the other cannot be told"
        )
    return lines


def _whole_and_blocks(rows: tuple[WholeAndBlocks, ...]) -> Table:
    table = Table("method", title="(sum of the blocks + overhead) / whole, in the same runs")
    for title in ("networks", "5 %", "median", "95 %", "overhead / whole"):
        table.add_column(title, justify="right")
    for row in rows:
        ratios = [f"{ratio:.3f}" for ratio in (row.ratio_5, row.ratio_median, row.ratio_95)]
        table.add_row(row.method, str(row.networks), *ratios, _percent(row.overhead_median))
    return table


def _leave_one_out(found: LeaveOneOut) -> Table:
    table = Table(
        "block values", title="sum of the blocks' means in the other networks, against the network's estimate"
    )
    for title in ("networks", "error, median", "90 %", "absolute, median", "90 %", "slope", "Spearman"):
        table.add_column(title, justify="right")
    for name, errors in (("as stored", found.as_stored), ("scaled", found.scaled)):
        if errors is not None:
            table.add_row(name, *_error_cells(errors))
    return table


def _error_cells(errors: SumErrors) -> list[str]:
    signed = [f"{100 * error:+.2f} %" for error in (errors.signed_median, errors.signed_90)]
    absolute = [_percent(errors.absolute_median), _percent(errors.absolute_90)]
    ranks = ["" if value is None else f"{value:.3f}" for value in (errors.slope, errors.spearman)]
    return [str(errors.networks), *signed, *absolute, *ranks]


def additivity_notes(report: AdditivityReport) -> list[str]:
    """Return what must be known to read the tables of sums."""
    found, lines = report.leave_one_out, list[str]()
    if found is None:
        return [f"no run has values of {report.metric} for its blocks: whether they add up cannot be told"]
    if not report.whole_and_blocks:
        lines.append("no run has the values of all of its blocks: their sum cannot be held against the whole")
    if any("profile_share" in row.method for row in report.whole_and_blocks):
        lines.append("profile_share: the ratio is 1 by construction, the runtime's profile is scaled to the whole")
    if found.as_stored is None:
        lines.append("no network consists of blocks that other networks have values of: no sum can be tried")
    else:
        lines += ["as stored: medians of a network's runs, the drift taken out; bursts make them add up to less"]
        lines += ["scaled: each network's blocks add up to its own estimate, as in the block table of predictors"]
        noise = _percent(report.noise.label_noise_median)
        lines += [f"the labels' own noise is {noise} in the median: no error below it can be told from none"]
    if found.uncovered_networks:
        blocks = f"{found.uncovered_blocks} of their blocks are in no other network"
        lines.append(f"{_count(found.uncovered_networks, 'network')} left out: {blocks}")
    return lines


def coverage_notes(report: AdditivityReport) -> list[str]:
    """Return how much of the space is measured."""
    coverage = report.coverage
    line = f"primitives of the space: {coverage.measured} of {coverage.in_space} measured"
    if coverage.networks_min is not None and coverage.networks_median is not None:
        line += (
            f", each in {_count(coverage.networks_min, 'network')} or more, {coverage.networks_median:g} in the median"
        )
    lines = [line]
    if coverage.unmeasured:
        count = coverage.in_space - coverage.measured
        which = "these" if count == len(coverage.unmeasured) else f"the first {len(coverage.unmeasured)}"
        lines += [f"{count} are not, {which}:", *(f"  {primitive}" for primitive in coverage.unmeasured)]
    return lines


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100 * fraction:.2f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
