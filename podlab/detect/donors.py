"""Whose detectors watch a container: the services that it may be, or that it is like."""

from __future__ import annotations

from collections.abc import Sequence

from podlab.identify.prediction import Prediction

#: A service that is less probable than that beside the one decided on is no donor.
_LEAST_SHARE = 0.2
#: Nor is one that an unknown container resembles less. The most similar other service's detector gave eight times the
#: pooled one's false alarms (docs/results.md): it must be nearly the same service.
_LEAST_SIMILARITY = 0.8


def donors_of(answer: Prediction) -> tuple[tuple[str, float], ...]:
    """Name a container's donors and their weights, the heaviest first.

    The services that cannot be ruled out, by their probability. A container that is like no known service has none:
    the pooled detector watches it.

    Examples
    --------
    >>> donors_of(Prediction("local", "shop", "db-0", None, "main", 10.0, None, 0.0, {}, (), False, 1.0, "m@1"))
    ()
    """
    if not answer.known:
        return ()
    return tuple((service, answer.candidates[service]) for service in answer.prediction_set)


def donors_of_decision(
    service: str | None, candidates: Sequence[tuple[str, float]], similar: Sequence[tuple[str, float]]
) -> tuple[tuple[str, float], ...]:
    """Name the donors of a container that something was decided of, and their weights, the heaviest first.

    Parameters
    ----------
    service : str or None
        What was decided; None: unknown.
    candidates : sequence of (str, float)
        Services and their probability.
    similar : sequence of (str, float)
        Services and the container's resemblance to them, which counts where it is unknown.

    Examples
    --------
    >>> donors_of_decision("redis", [("redis", 0.7), ("memcached", 0.25), ("nginx", 0.05)], [])
    (('redis', 0.7), ('memcached', 0.25))
    >>> donors_of_decision("redis", [], [])
    (('redis', 1.0),)
    >>> donors_of_decision(None, [("redis", 0.4)], [("redis", 0.3)])
    ()
    """
    if service is None:
        return tuple((name, value) for name, value in similar if value >= _LEAST_SIMILARITY)
    split = tuple((name, value) for name, value in candidates if name == service or value >= _LEAST_SHARE)
    return split if service in dict(split) else ((service, 1.0),)
