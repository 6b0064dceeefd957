"""The command `gemscope`."""

from __future__ import annotations

import os
import signal
import sys

from . import _native, _onnxruntime


def main() -> int:
    """Runs the command with the words of the process, and gives its exit code: the same program as the binary."""
    # What Python has changed of a process is set back: signals end it until the command catches them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    # A stream that is closed must not become a file that the command writes.
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return _native.main(sys.argv, _onnxruntime.library())


if __name__ == "__main__":
    sys.exit(main())
