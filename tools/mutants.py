"""Change one token at a time and see whether the tests notice: ``make mutants``.

Cosmic Ray (https://cosmic-ray.readthedocs.io) makes the changes. A sample of them is tried, in a copy of the project,
with the tests that are of the package. What survives is shown as a difference, to be tested or explained.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

ROOT = Path(__file__).parents[1]


def _faults(kind: str) -> list[str]:
    """List the tests of the faults that one kind of file or server may have."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/faults").glob(f"test_{kind}_*.py"))


#: What is changed, and the tests that should notice.
PACKAGES = {
    "features": (["podlab/features"], [
        "tests/features",
    ]),
    "identify": (["podlab/identify"], ["tests/identify"]),
    "detect": (["podlab/detect"], ["tests/detect"]),
    "model": (["podlab/model"], ["tests/model", "tests/cli/test_promote.py", *_faults("bundle")]),
    "sources": (["podlab/sources"], ["tests/sources"]),
    "watch": (
        ["podlab/kubernetes/informer.py", "podlab/kubernetes/objects.py"],
        [
            "tests/kubernetes/test_watch.py", "tests/kubernetes/test_events.py", "tests/kubernetes/test_pods.py",
            *_faults("watch"),
        ],
    ),
}  # fmt: skip
#: Changes that no test could notice: of types, which are text only, and of what is skipped on purpose.
_IDLE = ("core/ReplaceBinaryOperator_BitOr_",)
_MOST_S = 600.0


def main() -> int:
    """Try a sample of the changes to each package; 1 if fewer than the share asked for are noticed."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"of {', '.join(PACKAGES)}; all by default")
    parser.add_argument("--sample", type=int, default=40, help="changes to try in each package; 0: all")
    parser.add_argument("--only", help="only files whose path holds this")
    parser.add_argument("--tests", nargs="+", help="other tests than the package's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--python", default=str(ROOT / ".venv/bin/python"), help="what runs the tests")
    parser.add_argument("--least", type=float, default=0.85, help="share that has to be noticed")
    options = parser.parse_args()
    shares = []
    for name in options.packages or PACKAGES:
        files, tests = PACKAGES[name]
        chosen = [str(path.relative_to(ROOT)) for part in files for path in _modules(ROOT / part)]
        chosen = [path for path in chosen if options.only is None or options.only in path]
        shares.append(_try(name, chosen, options.tests or tests, options))
    return 0 if all(share >= options.least for share in shares) else 1


def _modules(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _try(name: str, files: list[str], tests: list[str], options: argparse.Namespace) -> float:
    """Give the share of changes that some test noticed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignore = shutil.ignore_patterns(".git", ".venv", "*.parquet", "models", "__pycache__", ".cache")
        shutil.copytree(ROOT, copy, ignore=ignore)
        command = f"env PYTHONPATH={copy} {options.python} -m pytest -q -x -p no:cacheprovider {' '.join(tests)}"
        subprocess.run(command, shell=True, cwd=copy, check=True, stdout=subprocess.DEVNULL)
        config, session = copy / "mutants.toml", copy / "mutants.sqlite"
        paths = ", ".join(f'"{path}"' for path in files)
        config.write_text(
            f"[cosmic-ray]\nmodule-path = [{paths}]\ntimeout = {_MOST_S}\nexcluded-modules = []\n"
            f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
        )
        cosmic_ray = Path(sys.executable).parent / "cosmic-ray"
        subprocess.run([cosmic_ray, "init", config, session], cwd=copy, check=True)
        with use_db(session, WorkDB.Mode.open) as db:
            tried = _draw(db, options.sample, options.seed)
        subprocess.run([cosmic_ray, "exec", config, session], cwd=copy, check=True)
        with use_db(session, WorkDB.Mode.open) as db:
            results = [result for job, result in db.results if job in tried]
    survived = [result for result in results if result.test_outcome == TestOutcome.SURVIVED]
    for result in survived:
        print(result.diff)
    share = 1 - len(survived) / max(len(results), 1)
    print(f"{name}: {len(results) - len(survived)} of {len(results)} noticed ({share:.0%})", flush=True)
    return share


def _draw(db: WorkDB, count: int, seed: int) -> set[str]:
    """Draw the changes to try; the others are marked as skipped. Give the names of those drawn."""
    items = list(db.work_items)
    jobs = [
        item.job_id for item in items if not any(change.operator_name.startswith(_IDLE) for change in item.mutations)
    ]
    drawn = set(random.Random(seed).sample(jobs, min(count or len(jobs), len(jobs))))
    for job in {item.job_id for item in items} - drawn:
        db.set_result(job, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    return drawn


if __name__ == "__main__":
    sys.exit(main())
