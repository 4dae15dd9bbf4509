"""Whose detectors watch a container: the services that it may be, or that it is like."""

from __future__ import annotations

from podlab.identify.answer import Answer


def donors_of(answer: Answer) -> tuple[tuple[str, float], ...]:
    """Name a container's donors and their weights, the heaviest first.

    The services that cannot be ruled out, by their probability. A container that is like no known service has none:
    the pooled detector watches it.

    Examples
    --------
    >>> donors_of(Answer("local", "shop", "db-0", None, "main", 10.0, None, 0.0, {}, (), False, 1.0, "m@1"))
    ()
    """
    if not answer.known:
        return ()
    return tuple((service, answer.candidates[service]) for service in answer.shortlist)
