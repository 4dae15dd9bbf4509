"""Change one token at a time and see whether the tests notice: ``make mutants``.

Cosmic Ray (https://cosmic-ray.readthedocs.io) makes the changes; a sample of them, drawn with a seed, is tried in a
copy of the project. What survives is shown as a difference, to be tested or explained.

Starting Python, importing libraries and running tests that never reach the change would take most of the time. So this
process imports the libraries and forks for each change. A first fork runs the package's tests without a change and
notes by coverage which of them run which line. A change is then tried with the tests that run its statement only, the
cheapest files first, up to the first failure. One that takes far longer than without a change counts as noticed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage

ROOT = Path(__file__).parents[1]
# At the end, so that what Cosmic Ray needs does not take the place of what the project pins.
sys.path.append(str(ROOT / ".cache/mutants"))

from cosmic_ray.ast import ast_nodes, get_ast_from_path  # noqa: E402
from cosmic_ray.mutating import mutate_code  # noqa: E402
from cosmic_ray.plugins import get_operator, operator_names  # noqa: E402


def _faults(*kinds: str) -> list[str]:
    """List the tests of the faults that some kinds of file or server may have."""
    return sorted(
        str(path.relative_to(ROOT)) for kind in kinds for path in (ROOT / "tests/faults").glob(f"test_{kind}_*.py")
    )


#: Answers and scores of before, to the last digit: what tests of the parts leave open.
_GOLDEN = "tests/contract/test_answers.py"
#: What is changed, and the tests that should notice.
PACKAGES = {
    "identify": (["podlab/identify"], ["tests/identify", _GOLDEN, *_faults("bundle")]),
    "detect": (["podlab/detect"], ["tests/detect", _GOLDEN]),
    "features": (["podlab/features"], ["tests/features", _GOLDEN]),
    "model": (["podlab/model"], ["tests/model", "tests/cli/test_promote.py", *_faults("bundle")]),
    "sources": (["podlab/sources"], ["tests/sources"]),
    "kubernetes": (["podlab/kubernetes"], ["tests/kubernetes", *_faults("cluster", "watch")]),
    "watcher": (["podlab/watcher"], ["tests/watcher"]),
}
#: Changes that no test could notice: of types, which are text only.
_IDLE = ("core/ReplaceBinaryOperator_BitOr_",)
#: A change may take so much more CPU time than without it, and this much in addition, in seconds.
_MORE, _MORE_S = 3.0, 15.0


@dataclass(frozen=True)
class Mutant:
    """One change: occurrence ``number`` of what ``operator`` can change in a file, in a line."""

    path: str
    operator: str
    number: int
    line: int

    def code(self) -> str:
        """Give the changed source."""
        changed = mutate_code(Path(self.path).read_text(), get_operator(self.operator)(), self.number)
        assert changed is not None, self
        return str(changed)


@dataclass(frozen=True)
class Coverages:
    """What the tests did without a change.

    Attributes
    ----------
    tests : dict
        By file and line: the tests that run it.
    cpu_s : dict
        CPU time of each test, in seconds.
    modules : list of str
        What was imported from outside the project.
    slowness : float
        How much longer they took than their CPU time.
    """

    tests: dict[str, dict[str, list[str]]]
    cpu_s: dict[str, float]
    modules: list[str]
    slowness: float

    def tests_of(self, mutant: Mutant) -> set[str]:
        """Find the tests that run the statement which a mutant changes."""
        lines = {int(line): set(tests) for line, tests in self.tests.get(mutant.path, {}).items()}
        statement, in_function = _statement(ast.parse(Path(mutant.path).read_text()), mutant.line)
        if in_function:
            lines = {line: tests for line, tests in lines.items() if statement.lineno <= line <= statement.end_lineno}
        # What is run on import concerns all that use the module.
        return set().union(*lines.values())


def main() -> int:
    """Try a sample of the changes to each package; 1 if fewer than the share asked for are noticed."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"of {', '.join(PACKAGES)}; all by default")
    parser.add_argument("--sample", type=int, default=40, help="changes to try in each package; 0: all")
    parser.add_argument("--only", help="only files whose path holds this")
    parser.add_argument("--tests", nargs="+", help="other tests than the package's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least", type=float, default=0.85, help="share that has to be noticed")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends what runs, and removes the copy
    if wrong := set(options.packages) - set(PACKAGES):
        parser.error(f"no package {', '.join(sorted(wrong))}")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignore = shutil.ignore_patterns(".git", ".venv", "recordings", "models", "__pycache__", ".cache")
        shutil.copytree(ROOT, copy, ignore=ignore)
        (copy / "data/recordings").symlink_to(ROOT / "data/recordings")  # large, and read only
        os.chdir(copy)
        sys.path[0] = str(copy)
        os.environ["PYTHONPATH"] = str(copy)
        shares = [_try(name, options) for name in options.packages or PACKAGES]
    return 0 if all(share >= options.least for share in shares) else 1


def _try(name: str, options: argparse.Namespace) -> float:
    """Give the share of changes to a package that some test noticed."""
    folders, tests = PACKAGES[name]
    paths = [str(path) for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    mutants = list(_mutants(path for path in paths if options.only is None or options.only in path))
    random.Random(options.seed).shuffle(mutants)
    drawn = list(islice(filter(_compiles, mutants), options.sample or None))
    coverages = _cover(name, options.tests or tests)
    for module in coverages.modules:
        with suppress(Exception):
            importlib.import_module(module)
    noticed = 0
    for number, mutant in enumerate(drawn, 1):
        before, code, chosen = Path(mutant.path).read_text(), mutant.code(), coverages.tests_of(mutant)
        survived = not _notice(mutant, code, chosen, coverages)
        noticed += not survived
        what = f"{mutant.path}:{mutant.line} {mutant.operator.removeprefix('core/')}"
        print(f"{name} {number}/{len(drawn)}: {'SURVIVED' if survived else 'noticed'} {what}, {len(chosen)} tests")
        if survived:
            print("\n".join(difflib.unified_diff(before.splitlines(), code.splitlines(), n=2, lineterm="")))
        sys.stdout.flush()
    share = noticed / max(len(drawn), 1)
    print(f"{name}: {noticed} of {len(drawn)} noticed ({share:.0%}), of {len(mutants)} possible", flush=True)
    return share


def _mutants(paths: Iterable[str]) -> Generator[Mutant]:
    for path in paths:
        nodes = list(ast_nodes(get_ast_from_path(Path(path))))
        for operator in operator_names():
            made = get_operator(operator)
            # Operators with arguments are for projects that give them.
            if operator.startswith(_IDLE) or made.arguments():
                continue
            positions = [start for node in nodes for start, _ in made().mutation_positions(node)]
            yield from (Mutant(path, operator, number, line) for number, (line, _) in enumerate(positions))


def _compiles(mutant: Mutant) -> bool:
    """Whether there is anything to test: one that is not Python would flatter the share."""
    try:
        compile(mutant.code(), mutant.path, "exec")
    except SyntaxError:
        return False
    return True


def _statement(tree: ast.Module, line: int) -> tuple[ast.stmt | ast.Module, bool]:
    """Find the smallest statement that a line is in, and whether it is run by a function."""
    found: ast.stmt | ast.Module = tree
    in_function = False
    for node in ast.walk(tree):  # from the outside to the inside
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            in_function |= isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
            found = node
    return found, in_function


def _cover(name: str, tests: list[str]) -> Coverages:
    """Run the tests of a package without a change."""
    report = Path(f"coverages-{name}.json").absolute()

    def run() -> int:
        recorder = _Recorder()
        code = _pytest(tests, recorder)
        report.write_text(json.dumps({"tests": recorder.tests(), "cpu_s": recorder.cpu_s, "modules": _foreign()}))
        return code

    began_s = time.monotonic()
    code = _fork(run, quiet=False)
    took_s = time.monotonic() - began_s
    if code != 0:
        sys.exit(f"{name}: the tests fail without a change")
    found = json.loads(report.read_text())
    cpu_s = sum(found["cpu_s"].values())
    print(f"{name}: {len(found['cpu_s'])} tests, {cpu_s:.0f} CPU-seconds without a change", flush=True)
    return Coverages(**found, slowness=max(1.0, took_s / max(cpu_s, 1.0)))


def _foreign() -> list[str]:
    """List the modules imported from outside the project, in their order."""
    own = str(Path.cwd())
    origins = {name: getattr(getattr(module, "__spec__", None), "origin", None) for name, module in sys.modules.items()}
    return [name for name, origin in origins.items() if origin is not None and not origin.startswith(own)]


def _notice(mutant: Mutant, code: str, tests: set[str], coverages: Coverages) -> bool:
    """Say whether any of the tests fails with a change, or does not end."""
    cost_s: dict[str, float] = defaultdict(float)
    for test in tests:
        cost_s[test.partition("::")[0]] += coverages.cpu_s.get(test, 0.0)
    if not tests:
        return False
    path, limit_s = Path(mutant.path), _MORE_S + _MORE * sum(cost_s.values())
    before, status = path.read_bytes(), path.stat()
    path.write_text(code)
    # Byte code that is kept of the file must not count for the changed one, whatever the clock says.
    os.utime(path, (status.st_atime, status.st_mtime + 10))

    def run() -> int:
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s)))
        return _pytest(sorted(cost_s, key=cost_s.__getitem__), _Chosen(tests))

    try:
        return _fork(run, most_s=limit_s * _MORE * coverages.slowness) != 0
    finally:
        path.write_bytes(before)
        os.utime(path, (status.st_atime, status.st_mtime))


def _pytest(files: list[str], plugin: object) -> int:
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"]
    return int(pytest.main([*options, *files], plugins=[plugin]))


def _fork(work: Callable[[], int], *, most_s: float | None = None, quiet: bool = True) -> int | None:
    """Do something in a process of its own; its exit code, or None if it took too long."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if quiet:
                nowhere = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(nowhere, stream)
            code = work()
        finally:
            sys.stdout.flush()
            os._exit(code)
    ended, handle = select.poll(), os.pidfd_open(child)
    ended.register(handle, select.POLLIN)
    try:
        in_time = bool(ended.poll(None if most_s is None else most_s * 1000))
    finally:
        os.close(handle)
        with suppress(ProcessLookupError):  # what it started as well
            os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if in_time else None


class _Recorder:
    """A plugin of pytest that notes which tests run which lines, and how much CPU time each takes."""

    def __init__(self) -> None:
        self._coverage = Coverage(data_file=None, config_file=False, source=["podlab"])
        self._coverage.start()
        self._context = ""
        self._users: dict[str, list[str]] = defaultdict(list)
        self.cpu_s: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> Generator[None, Any, Any]:
        began_s = time.process_time()
        for fixture in item.fixturenames:
            self._users[f"fixture {fixture}"].append(item.nodeid)
        self._switch(item.nodeid)
        done = yield
        self._switch("")
        self.cpu_s[item.nodeid] = time.process_time() - began_s
        return done

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        # One that several tests share is set up by the first, but all rely on what it ran.
        before = self._switch(f"fixture {fixturedef.argname}")
        try:
            return (yield)
        finally:
            self._switch(before)

    def tests(self) -> dict[str, dict[str, list[str]]]:
        """By file and line: the tests that ran it."""
        self._coverage.stop()
        data = self._coverage.get_data()
        return {
            os.path.relpath(path): {
                str(line): [test for context in contexts for test in self._users.get(context, [context]) if test]
                for line, contexts in data.contexts_by_lineno(path).items()
            }
            for path in data.measured_files()
        }

    def _switch(self, context: str) -> str:
        before, self._context = self._context, context
        self._coverage.switch_context(context)
        return before


class _Chosen:
    """A plugin of pytest that runs some tests only."""

    def __init__(self, tests: set[str]) -> None:
        self._tests = tests

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self._tests]


if __name__ == "__main__":
    sys.exit(main())
