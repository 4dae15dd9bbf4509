"""What can go wrong between here and the API server, in one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from podlab.errors import InputError, PodlabError
from podlab.http import DECODE_ERRORS, one_line


class ExpiredError(PodlabError):
    """The API server does not have the version that was asked for: no longer (HTTP 410), or not yet (504)."""


class ForbiddenError(InputError):
    """The API server knows the caller, who lacks the right (HTTP 403)."""


class RejectedError(InputError):
    """The API server rejects the object, though there is a right to send it (HTTP 400, 413, 415, 422, 403)."""


class NotFoundError(InputError):
    """The API server has no such object, or no such path (HTTP 404)."""


class ConflictError(PodlabError):
    """A conflict: the object exists already, or is newer than the one sent (HTTP 409)."""


class BusyError(PodlabError):
    """The API server asks to try again later (HTTP 429, 503, or any failure that says when to come again)."""

    retry_after_s: float | None = None


class UnreadableError(PodlabError):
    """A list or a watch contains what it should not."""


class MissedEventError(PodlabError):
    """A watch reported what can only be true if an event was missed; a new list is needed."""


_TOO_NEW: Final = "ResourceVersionTooLarge"
#: What admission says of an object (webhooks, policies, quotas of a namespace): there is a right to send such ones.
_NOT_ADMITTED: Final = ("denied the request", "denied request", "quota: ")
_OBJECT_PATH: Final = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/.*)?"
)
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Cause(msgspec.Struct):
    """One of the causes of an error status."""

    reason: str = ""


class Details(msgspec.Struct):
    """Details of an error status."""

    name: str = ""
    causes: list[Cause] | None = None
    retry_after_s: float | None = msgspec.field(default=None, name="retryAfterSeconds")


class Status(msgspec.Struct):
    """Kind ``Status`` of the API's common definitions, as the body of a response or in a stream."""

    message: str = ""
    code: int = 0
    details: Details | None = None


class Action(NamedTuple):
    """A request in terms of the API server's access rules: a Role's verb, and which objects where."""

    verb: str
    what: str

    def __str__(self) -> str:
        return f"{self.verb} {self.what}"


def describe(method: str, path: str, query: Mapping[str, str]) -> Action:
    """Describe what a request asks for."""
    found = _OBJECT_PATH.fullmatch(path)
    resource, name, namespace = found.group("resource", "name", "namespace") if found else (path, None, None)
    verb = _VERBS.get(method) or ("get" if name else "watch" if "watch" in query else "list")
    everywhere = " in all namespaces" if resource == "pods" else ""
    place = f" in namespace {namespace!r}" if namespace else everywhere
    return Action(verb, resource + (f" {name!r}" if name else "") + place)


def explain_status(code: int, status: Status, action: Action, *, host: str, origin: str) -> PodlabError:
    """Turn an error status, of a response or in a stream, into an error that says what to do.

    ``host`` is the API server's address, ``origin`` where the credentials came from. Callers distinguish the classes
    above.
    """
    message = one_line(status.message)
    why = f": {message}" if message else ""
    details = status.details or Details()
    if code == 401:
        what = "the API server does not accept the credentials (401)"
        return InputError(what, where=host, hint=f"renew or correct those of {origin}")
    if code in (400, 413, 415, 422) or (code == 403 and any(words in message for words in _NOT_ADMITTED)):
        return RejectedError(f"the API server refuses to {action} ({code}){why}", where=host)
    if code == 403:
        hint = f"grant the verb {action.verb!r} on that resource to the user of {origin}"
        return ForbiddenError(f"no right to {action} (403){why}", where=host, hint=hint)
    if code == 404 and details.name:
        return NotFoundError(f"cannot {action}: it does not exist (404){why}", where=host)
    if code == 404:
        hint = "give the address of a Kubernetes API server"
        return NotFoundError(f"cannot {action}: no such path (404)", where=host, hint=hint)
    if code == 409:
        return ConflictError(f"cannot {action}: somebody else was quicker (409){why}", where=host)
    if code == 410:
        return ExpiredError(f"cannot {action}: the version asked for is no longer kept (410)", where=host)
    if code == 504 and any(cause.reason == _TOO_NEW for cause in details.causes or ()):
        return ExpiredError(f"cannot {action}: the server has not seen that version yet (504){why}", where=host)
    what = f"the API server failed to {action} ({code}){why}"
    if code in (429, 503) or details.retry_after_s is not None:
        busy = BusyError(what, where=host, hint="try again later")
        busy.retry_after_s = details.retry_after_s
        return busy
    return PodlabError(what, where=host, hint="try again later")


def read_status(body: bytes, retry_after: str | None = None) -> Status:
    """Read an error status; empty where the body is not a ``Status``, such as a proxy's page.

    ``retry_after``, the header of that name, overrides the body if it is a number of seconds.
    """
    try:
        status = msgspec.json.decode(body, type=Status)
    except DECODE_ERRORS:
        status = Status()
    if retry_after is not None and retry_after.strip().isdecimal():
        status.details = status.details or Details()
        status.details.retry_after_s = float(retry_after)
    return status
