"""Which HTTP proxy, if any, leads to a server: the environment's, by the rules of curl and kubectl.

``http_proxy`` or ``https_proxy`` by the address' scheme, else ``all_proxy``, in small or capital letters; ``no_proxy``
lists hosts to be asked directly. Hosts of this machine and of this cluster are always asked directly: a proxy knows
neither.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from podlab.errors import InputError

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: How names end that Kubernetes gives to services.
_CLUSTER_ENDINGS: Final = (".svc", ".cluster.local", ".localhost")
#: ``[fd00::1]``, ``[fd00::1]:8086`` or ``example.org:8086``; a bare IPv6 address has more colons.
_WITH_PORT: Final = re.compile(r"(?:\[(?P<bracketed>[^\]/]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d+))?")


class Proxy(NamedTuple):
    """A proxy, and the variable that names it. The address may hold a password."""

    variable: str
    url: str


def find_proxy(url: str, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """Find the proxy by which an address is to be reached; None where the host is asked directly.

    Raises InputError if the proxy is of a kind that podlab does not speak to, or its address is none.
    """
    environment = os.environ if environment is None else environment
    parts = urlsplit(url)
    host = _plain(parts.hostname or "")
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    found = next((f for name in (f"{parts.scheme}_proxy", "all_proxy") if (f := _look_up(environment, name))), None)
    if found is None or _is_near(host):
        return None
    exempt = _look_up(environment, "no_proxy")
    if exempt is not None and any(_covers(entry, host, port) for entry in re.split(r"[\s,;]+", exempt.url)):
        return None
    return _checked(found, host)


def _look_up(environment: Mapping[str, str], name: str) -> Proxy | None:
    # An empty one in small letters switches the other off, as for curl.
    for variable in (name, name.upper()):
        if variable in environment:
            text = environment[variable].strip()
            return Proxy(variable, text) if text else None
    return None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by address or as ``localhost``."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _is_near(host: str) -> bool:
    """Return whether a host is this machine, or one of this cluster or network by its name."""
    address = _address(host)
    if address is not None:
        return address.is_loopback or address.is_link_local
    return "." not in host or host.endswith(_CLUSTER_ENDINGS)


def _covers(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of ``no_proxy`` matches a host; one of unknown form matches none."""
    entry = _plain(entry.rpartition("://")[2])
    found = _WITH_PORT.fullmatch(entry)
    if found:
        entry = found["bracketed"] or found["name"]
        if found["port"] and int(found["port"]) != port:
            return False
    if entry == "*":
        return True
    address = _address(host)
    try:
        network = ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        name = entry.removeprefix("*").removeprefix(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    return address is not None and address in network


def _checked(found: Proxy, host: str) -> Proxy:
    text = found.url if "://" in found.url else f"http://{found.url}"
    hint = f"give it as http://HOST:PORT, unset it, or add {host} to NO_PROXY"
    try:
        parts = urlsplit(text)
        # Without user and password: an error is shown.
        shown = f"{parts.scheme}://{text.rpartition('@')[2].partition('://')[2] or text.rpartition('@')[2]}"
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise InputError("is not a valid address", where=found.variable, hint=hint) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise InputError(f"{shown!r} is a proxy of a kind that cannot be used", where=found.variable, hint=hint)
    if not sound or not text.isprintable() or " " in text:
        raise InputError(f"{shown!r} is not a valid address", where=found.variable, hint=hint)
    return Proxy(found.variable, text)


def _plain(host: str) -> str:
    return host.strip().lower().rstrip(".")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return found if mapped is None else mapped
