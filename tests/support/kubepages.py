"""Pages of a list on the test API server: which version is asked for, from which key on, and tokens for the rest.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions and
.../#retrieving-large-results-sets-in-chunks
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from tests.support.kubestatus import StatusError

_TOO_OLD_LIST = "The resourceVersion for the provided list is too old."
_TOO_OLD_TOKEN = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


def version_and_start(params: Mapping[str, str], version: int, oldest: int) -> tuple[int, str]:
    """Tell which version a list asks for, and from which key on.

    Parameters
    ----------
    params : mapping
        Of the request.
    version, oldest : int
        The newest version there is, and the oldest one that is kept.
    """
    wanted, match, token = (params.get(name, "") for name in ("resourceVersion", "resourceVersionMatch", "continue"))
    _check_match(wanted, match, token)
    if token:
        if wanted not in ("", "0"):
            raise StatusError(400, "BadRequest", "specifying resource version is not allowed when using continue")
        listed, start = _decode_token(token)
        if listed == -1:
            return version, start
        if listed < oldest:
            raise StatusError(410, "Expired", _TOO_OLD_TOKEN, continue_token=encode_token(-1, start))
        return listed, start
    if wanted in ("", "0"):
        return version, ""
    asked = int(wanted)
    if asked > version:
        raise too_large(asked, version)
    # With a limit and no match given, a version is meant exactly: a legacy that the documentation keeps.
    if match == "Exact" or (not match and params.get("limit")):
        if asked < oldest:
            raise StatusError(410, "Expired", _TOO_OLD_LIST)
        return asked, ""
    return version, ""


def too_large(asked: int, version: int) -> StatusError:
    """Make the refusal of a version that is still to come."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Too large resource version: {asked}, current: {version}"
    return StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def encode_token(version: int, start: str) -> str:
    """Make the token for the rest of a list."""
    body = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def _check_match(wanted: str, match: str, token: str) -> None:
    faults = (
        (bool(wanted) and not wanted.isdecimal(), f"resourceVersion: Invalid value: {wanted!r}"),
        (bool(match) and bool(token), "resourceVersionMatch is forbidden when continue is provided"),
        (bool(match) and not wanted, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (match not in ("", "Exact", "NotOlderThan"), f"resourceVersionMatch: Unsupported value: {match!r}"),
        (match == "Exact" and wanted == "0", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
    )
    for wrong, message in faults:
        if wrong:
            raise StatusError(422, "Invalid", f"ListOptions.meta.k8s.io is invalid: {message}")


def _decode_token(token: str) -> tuple[int, str]:
    try:
        body = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(body["rv"]), str(body["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise StatusError(400, "BadRequest", f"continue key is not valid: {error}") from error
