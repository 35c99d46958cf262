"""The program ``dahlquist``."""

from __future__ import annotations

import signal
import sys

from . import _native


def main() -> None:
    """Runs the program with the arguments of the command line."""
    # The program is not Python: Ctrl-C ends it as it ends any program.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    sys.exit(_native.run_program(["dahlquist", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
