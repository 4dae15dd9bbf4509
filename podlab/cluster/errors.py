"""Refusals of the API server that callers tell apart."""

from __future__ import annotations

from podlab.errors import InputError, PodlabError


class ExpiredError(PodlabError):
    """The API server no longer keeps the version of the list that was asked for (HTTP 410)."""


class ForbiddenError(InputError):
    """The API server knows the caller but grants no such right (HTTP 403)."""
