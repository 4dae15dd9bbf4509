"""Refusals of the API server that callers tell apart."""

from __future__ import annotations

from podlab.errors import InputError, PodlabError


class ExpiredError(PodlabError):
    """The API server does not have the version that was asked for: no longer (HTTP 410), or not yet (504)."""


class ForbiddenError(InputError):
    """The API server knows the caller but grants no such right (HTTP 403)."""


class RefusedError(InputError):
    """The API server will not have what was sent, though there is a right to send it (HTTP 400, 413, 415, 422, 403)."""


class NotFoundError(InputError):
    """The API server has no such object, or no such path (HTTP 404)."""


class ConflictError(PodlabError):
    """Somebody else was quicker: the object exists already, or is newer than the one sent (HTTP 409)."""


class BusyError(PodlabError):
    """The API server asks for patience (HTTP 429, 503, or any failure that says when to come again).

    Attributes
    ----------
    retry_after_s : float or None
        How long the server asks to wait, in seconds; None where it does not say.
    """

    retry_after_s: float | None = None


class UnreadableError(PodlabError):
    """A list or a watch holds what it should not."""


class OutOfOrderError(PodlabError):
    """A watch told what can only be true if something else was missed; a list has to tell what is true."""
