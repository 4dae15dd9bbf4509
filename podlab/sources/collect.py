"""Reading a span of time in slices that fit into one answer, and collecting samples round after round."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import pandas as pd

from podlab.data.samples import check_samples
from podlab.errors import PodlabError
from podlab.http import TooLargeError
from podlab.progress import Progress
from podlab.sources.protocol import Source

log = logging.getLogger(__name__)

Part = TypeVar("Part")

#: An answer this many times smaller than the most allowed leaves room to ask for twice the span.
_ROOM_TO_GROW: Final = 8
#: Agents write some time after they measured (Telegraf 10 s and jitter, a kubelet up to 15 s), so each round overlaps
#: the one before by this much.
_LATE: Final = timedelta(seconds=60)
#: What identifies a row, whether or not its uid and start were known yet.
_ROW: Final = ["cluster", "namespace", "pod", "container", "time"]


def read_slices(
    read: Callable[[int, int], tuple[Part, int]],
    since: int,
    until: int,
    *,
    per_s: int,
    slice_s: float,
    max_answer_bytes: int,
    what: str,
    where: str,
    hint: str,
) -> list[Part]:
    """Read a span of time, ``per_s`` of whose units are a second, in slices as long as one answer allows.

    ``read`` reads from one instant to before another; it returns what it read and how many bytes the answer had, or
    raises TooLargeError. The first slice has ``slice_s``; slices grow while answers stay small. ``what`` is read from
    ``where``; where even a second of it is too much, PodlabError is raised with ``hint``.
    """
    width, widest = int(slice_s * per_s), until - since
    parts: list[Part] = []
    while since < until:
        # A short rest is asked for with the slice before it: each question costs the server something.
        is_last = until - since <= min(width * 3 // 2, widest)
        end = until if is_last else since + width
        try:
            part, answer_bytes = read(since, end)
        except TooLargeError as error:
            # Where the server has set a limit to spans, one that was refused would be so again.
            width = widest = (end - since) // 2
            if width < per_s:
                problem = f"even {(end - since) / per_s:g} s of {what} are too much for one answer: {error.message}"
                raise PodlabError(problem, where=where, hint=hint) from None
            continue
        parts.append(part)
        since = end
        if answer_bytes < max_answer_bytes // _ROOM_TO_GROW:
            width = min(width * 2, widest)
    return parts


def collect(
    source: Source,
    *,
    window: timedelta,
    rounds: int = 1,
    interval: timedelta = timedelta(seconds=60),
    wait: timedelta = timedelta(0),
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> pd.DataFrame:
    """Fetch the last ``window``, then what has arrived since, for a number of rounds.

    Late writes are not lost: each later round also asks for the minute before it.

    Parameters
    ----------
    source : Source
        Where the samples come from.
    window : timedelta
        How far back the first round reaches.
    rounds : int
        How many times to fetch.
    interval : timedelta
        From the beginning of one round to the next.
    wait : timedelta
        How long to wait before the first round, for a source that knows nothing of the past.
    progress : callable, optional
        Called after each second of waiting, and after each round.
    clock, sleep : callable
        The present in seconds since 1970, and how to wait.

    Returns
    -------
    DataFrame
        The samples of all rounds, checked. Ctrl-C while it waits or after the first round ends the collecting, and what
        came is kept.

    Raises
    ------
    InputError, PodlabError
        As the source raises them in the first round. A later one that fails or finds nothing new is only noted: the
        next asks for its span as well.
    """
    parts: list[pd.DataFrame] = []
    since = datetime.fromtimestamp(clock(), UTC) - window
    try:
        _wait(wait.total_seconds(), progress, clock, sleep)
    except KeyboardInterrupt:
        log.warning("stopped while waiting; samples fetched so far are kept")
        rounds = 1
    began_s = clock()
    try:
        for number in range(rounds):
            if number:
                sleep(max(0.0, began_s + number * interval.total_seconds() - clock()))
            until = datetime.fromtimestamp(clock(), UTC)
            try:
                samples = source.fetch(since, until)
            except PodlabError as error:
                if not parts:
                    raise
                log.warning("round %d: %s", number + 1, error)
            else:
                if parts:
                    before = parts.pop()
                    samples = pd.concat([before, samples]).drop_duplicates(_ROW, keep="last", ignore_index=True)
                    if len(samples) == len(before):
                        log.warning("round %d: nothing new in %s", number + 1, source.name)
                since = max(since, until - _LATE)
                settled = samples["time"] < since
                # Only what may come again is looked at again.
                parts += [samples[settled], samples[~settled]] if number + 1 < rounds else [samples]
            if progress is not None:
                progress(number + 1, rounds, "rounds")
    except KeyboardInterrupt:
        if not parts:
            raise
        log.warning("stopped after %d of %d rounds; what they brought is kept", number, rounds)
    if len(parts) == 1:
        return parts[0]
    return check_samples(pd.concat([part for part in parts if len(part)], ignore_index=True), where=source.name)


def _wait(
    seconds: float, progress: Progress | None, clock: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    begun_s = clock()
    while (passed_s := clock() - begun_s) < seconds:
        sleep(min(1.0, seconds - passed_s))
        if progress is not None:
            progress(min(round(clock() - begun_s), round(seconds)), round(seconds), "seconds")
