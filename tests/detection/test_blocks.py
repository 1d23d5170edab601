"""The building blocks of YOLOX come without OpenCV where that cannot be loaded."""

from __future__ import annotations

import subprocess
import sys
import textwrap

BROKEN = """
    import sys

    class WithoutWindows:
        def find_spec(self, name, path=None, target=None):
            if name == "cv2":
                sys.path.insert(1, "where/cv2/is")
                raise ImportError("libxcb.so.1: cannot open shared object file: No such file or directory")

    sys.meta_path.insert(0, WithoutWindows())
    from astrogalaxy.detection.network import AstroYolo
    from astrogalaxy.models import Architecture

    AstroYolo(Architecture("nano", (4, 8, 16)))
    assert "cv2" not in sys.modules, "what needs it is still told that it is missing"
    assert "where/cv2/is" not in sys.path, "processes that are started inherit it"
"""


def test_networks_need_no_opencv() -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(BROKEN)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
