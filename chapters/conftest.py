"""What nbval compares in the cells tagged nbval-check-output, and the time that notebooks take."""

from collections import Counter

LONGEST, IN_ALL = 90.0, 900.0  # seconds, of a notebook and of the book


def pytest_collectstart(collector):
    """Let nbval pass over glued numbers, which differ in the last digit from machine to machine."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("application/papermill.record/text/plain",)


def pytest_terminal_summary(terminalreporter, config):
    """List the slowest notebooks and the sum over all, divided by the number of workers."""
    took = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            file, _, _ = getattr(report, "nodeid", "").partition("::")
            if file.endswith(".ipynb"):
                took[file] += report.duration
    if took:
        workers = int(getattr(config.option, "numprocesses", None) or 1)
        write = terminalreporter.write_line
        terminalreporter.section("seconds in cells")
        for file, seconds in took.most_common(5):
            write(f"{seconds:6.0f}  {file}" + over(seconds, LONGEST))
        each = took.total() / workers
        write(f"{each:6.0f}  all {len(took)}, on {workers} at a time" + over(each, IN_ALL))


def over(seconds, budget):
    """Say so where the budget is passed."""
    return f"  OVER {budget:.0f}" if seconds > budget else ""
