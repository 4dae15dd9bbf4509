"""What a command loads before it is known which one it is: nothing that takes long."""

from __future__ import annotations

import subprocess
import sys

_HEAVY = ("numpy", "pandas", "pyarrow", "pydantic", "pydantic_settings", "sklearn", "duckdb", "rich.console")


def test_the_command_line_loads_no_library_for_data() -> None:
    code = f"import sys, podlab.cli; print([name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
