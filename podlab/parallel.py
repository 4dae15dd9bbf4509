"""Doing several things at once: in processes of this machine, or on the workers of a Dask scheduler.

Without a scheduler nothing of Dask is imported. With one, joblib's Dask backend hands out the work. Whatever a piece of
work needs travels with it, so when a worker dies its pieces alone are done again elsewhere, with the same results.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import podlab
from podlab.errors import InputError, PodlabError, first_line
from podlab.progress import Progress

#: Seconds until a scheduler must have answered: it is there, or its address is wrong.
_ANSWER_S = 30
_SPREAD: ContextVar[bool] = ContextVar("spread", default=False)
_EXPECTED_IN_TRAINING: Final = re.compile(
    r"(?s).*constant|.*invalid value encountered|The number of unique classes is greater than 50%|"
    r"`sklearn.utils.parallel.delayed` should be used"
)


@contextmanager
def use_scheduler(address: str | None) -> Iterator[None]:
    """Let a Dask scheduler's workers do what is done side by side within the block.

    Raises InputError if Dask is not installed, the number of workers is none, the scheduler does not answer, or its
    workers have another podlab.

    Parameters
    ----------
    address : str or None
        Such as ``tcp://host:8786``; ``local`` starts a worker for each core of this machine, ``local:N`` so many, and
        stops them at the end; None changes nothing.
    """
    if not address:
        yield
        return
    from joblib import parallel_config

    workers = _local_workers(address)

    try:
        from distributed import Client, LocalCluster
    except ImportError:
        hint = "install podlab's extra `scale`: pip install podlab[scale]"
        raise InputError("needs Dask", where="--scheduler", hint=hint) from None
    where: Any = address
    start_local: Any = LocalCluster
    connect: Any = Client
    if workers is not None:
        where = start_local(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    try:
        client = connect(where, timeout=_ANSWER_S)
    except (OSError, ValueError) as error:
        what = f"no scheduler answers: {error}"
        raise InputError(what, where=f"--scheduler {address}", hint="check the address, or use `local`") from None
    try:
        _check_workers(client, address)
        with parallel_config(backend="dask"):
            token = _SPREAD.set(True)
            try:
                yield
            finally:
                _SPREAD.reset(token)
    finally:
        client.close()
        if workers is not None:
            where.close()


def _local_workers(address: str) -> int | None:
    """Give how many workers an address asks this machine for; None where they are elsewhere."""
    name, colon, number = address.partition(":")
    if name != "local":
        return None
    if not colon:
        from joblib import cpu_count

        return int(cpu_count())
    if not number.isdecimal() or int(number) < 1:
        raise InputError(f"{number!r} is not a number of workers", where=f"--scheduler {address}", hint="write local:2")
    return int(number)


def is_spread() -> bool:
    """Tell whether a scheduler is in use."""
    return _SPREAD.get()


def side_by_side(
    work: Iterable[Any], whats: Sequence[str], *, jobs: int | None = None, progress: Progress | None = None
) -> list[Any]:
    """Do several things at once, each in a process of its own, and give their results in order.

    Raises PodlabError if a process is killed; with a scheduler, if several workers die of the same piece.

    Parameters
    ----------
    whats : sequence of str
        What progress calls each.
    jobs : int, optional
        How many at once; by default as many as there are cores. A scheduler has its own number. The results do not
        depend on it.
    progress : callable, optional
        Called after each.
    """
    results = []
    for what, result in zip(whats, in_turn(work, len(whats), jobs=jobs), strict=True):
        results.append(result)
        if progress is not None:
            progress(len(results), len(whats), what)
    return results


def in_turn(work: Iterable[Any], number: int, *, jobs: int | None = None) -> Iterator[Any]:
    """Do as :func:`side_by_side`, but give each result as soon as its turn comes; few of them wait at one time."""
    from joblib import Parallel, cpu_count, delayed  # who only asks a model never needs it

    pool = Parallel(n_jobs=-1 if is_spread() else max(1, min(jobs or cpu_count(), number)), return_as="generator")
    try:
        # As one argument each: joblib would leave large ones with single workers, and they would die with those.
        yield from pool(delayed(_call)(one) for one in work)
    except _killed() as error:
        what = "a training process was killed from outside, most likely for lack of memory"
        hint = "train one fold at a time (LOKY_MAX_CPU_COUNT=1), or on fewer containers"
        raise PodlabError(what, hint=hint) from error


def _call(work: tuple[Callable[..., Any], Sequence[Any], dict[str, Any]]) -> Any:
    function, arguments, named = work
    return function(*arguments, **named)


def _killed() -> tuple[type[Exception], ...]:
    if not is_spread():
        return (BrokenProcessPool,)
    from distributed import KilledWorker

    return (BrokenProcessPool, KilledWorker)


@contextmanager
def ignore_training_warnings() -> Iterator[None]:
    """Silence scikit-learn about few containers of many services, features without any variance, and its threads.

    The threads of a forest that grow trees at once each set and restore the process's filters, which can leave these
    empty for good. So warnings are kept, whatever the filters, and others than the expected are given on afterwards.
    """
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        yield
    for each in given:
        if not _EXPECTED_IN_TRAINING.match(str(each.message)):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def _version() -> str:
    return podlab.__version__


def _check_workers(client: Any, address: str) -> None:
    """Refuse workers that would compute something else."""
    try:
        client.wait_for_workers(1, timeout=_ANSWER_S)
        versions = set(client.run(_version).values())
    except Exception as error:  # noqa: BLE001  whatever a worker raises that has no podlab
        reason = first_line(error)
        what = f"its workers cannot be used: {reason}"
        raise InputError(what, where=f"--scheduler {address}", hint="give them podlab[scale]") from None
    if versions != {podlab.__version__}:
        what = f"its workers have podlab {', '.join(sorted(versions))}, here is {podlab.__version__}"
        raise InputError(what, where=f"--scheduler {address}", hint="give them the same image")
