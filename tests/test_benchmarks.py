"""What `make bench` runs begins with what `make` has set up; peers that are not in it are left out."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_benchmarks_begin_without_their_peers() -> None:
    modules = re.findall(r"-m (benchmarks\.\w+)", (ROOT / "Makefile").read_text())
    assert len(modules) > 3
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups, extras = declared["dependency-groups"], declared["project"]["optional-dependencies"]
    set_up = [each for part in (groups["dev"], groups["test"], *extras.values()) for each in part]
    known = " ".join(each for each in set_up if isinstance(each, str))
    names = [re.split(r"[<>=\[]", each)[0].replace("-", "_") for each in groups["bench"]]
    peers = [name for name in names if name not in known]
    assert {"tsfresh", "lightkube"} <= set(peers)
    script = f"import sys; sys.modules.update(dict.fromkeys({peers}))\nimport {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
