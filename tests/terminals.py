"""A terminal to write to, for tests of progress bars."""

import sys


class Terminal:
    """Keeps the text written to it."""

    text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def stderr_as_terminal(monkeypatch):
    """Return a terminal that takes the place of standard error."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal
