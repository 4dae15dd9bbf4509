"""Extensions by entry points: a source or a sink of another package is found by its name, as podlab's own are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from podlab.errors import InputError


class Plugins:
    """What can be chosen by name: podlab's own, and what installed packages register as entry points of a group.

    Those that are ``built_in``, each as ``module:function``, keep their names. ``kind`` is what one is called in
    errors.

    Examples
    --------
    >>> SOURCES.names()[:3]
    ('influxdb', 'prometheus', 'kubelet')
    """

    def __init__(self, group: str, kind: str, built_in: Mapping[str, str]) -> None:
        self.group, self.kind = group, kind
        self._built_in = {name: EntryPoint(name, value, group) for name, value in built_in.items()}

    def names(self) -> tuple[str, ...]:
        """List all names, podlab's own first."""
        return tuple(self._found())

    def check(self, name: str) -> str:
        """Return the name if there is such a plugin; raise ValueError with the known ones otherwise."""
        if name not in self._built_in and name not in self._found():
            raise ValueError(f"{name!r} is not a {self.kind}; known are {', '.join(self._found())}")
        return name

    def load(self, name: str) -> Any:
        """Import what a name stands for; raises InputError if there is no such plugin, or it cannot be imported."""
        found = self._built_in.get(name) or self._found().get(name)
        if found is None:
            raise InputError(f"{name!r} is not a {self.kind}", hint=f"known are {', '.join(self._found())}")
        try:
            return found.load()
        except (ImportError, AttributeError) as error:
            where = f"{self.kind} {name!r} ({found.value})"
            raise InputError(f"cannot be imported: {error}", where=where, hint="see to its package") from error

    def _found(self) -> dict[str, EntryPoint]:
        others = {each.name: each for each in entry_points(group=self.group) if each.name not in self._built_in}
        return self._built_in | dict(sorted(others.items()))


#: What makes a :class:`podlab.sources.protocol.LiveSource` of the settings: see :func:`podlab.live.live_source`.
SOURCES: Final = Plugins(
    "podlab.sources",
    "source of metrics",
    {name: f"podlab.live:{name}_source" for name in ("influxdb", "prometheus", "kubelet")},
)
#: What makes a :class:`podlab.watcher.notify.Sink` of a :class:`podlab.watcher.sinks.SinkContext`. Sinks are called
#: in this order: an Event sink knows what was announced before, so it comes before the log.
SINKS: Final = Plugins(
    "podlab.sinks",
    "sink",
    {name: f"podlab.watcher.sinks:{name}_sink" for name in ("event", "annotation", "influxdb", "log")},
)
