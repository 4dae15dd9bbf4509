"""Refusals of the test API server."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


class StatusError(Exception):
    """A refusal, to be answered as an object of kind ``Status``."""

    def __init__(
        self, code: int, reason: str, message: str, details: Object | None = None, continue_token: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        metadata = {"continue": continue_token} if continue_token else {}
        self.body: Object = {
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": message,
            "reason": reason, "code": code,
        }  # fmt: skip
        if details:
            self.body["details"] = details
