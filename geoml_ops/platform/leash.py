"""Runs a command that ends when its parent ends, however the parent ended.

``python -m geoml_ops.platform.leash COMMAND …`` asks the kernel for a SIGTERM at the parent's
death, then becomes the command. Where the kernel has no such call (not Linux) it only becomes it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Sets the death signal and replaces this process by ``sys.argv[1:]``."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have ended between its fork and the call above; then no signal will ever come.
        if os.environ.get("GEOML_LEASH_PARENT", str(os.getppid())) != str(os.getppid()):
            sys.exit("the parent ended before its child began")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
