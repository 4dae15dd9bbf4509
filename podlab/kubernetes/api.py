"""Requests to the Kubernetes API server: decoded to the few needed fields, one clear line for what goes wrong.

The official client's models are left aside: they cost 2 ms and 150 kB a pod, where decoding the needed fields from the
raw bytes takes microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

import podlab
from podlab.errors import PodlabError
from podlab.kubernetes.credentials import Credentials
from podlab.kubernetes.refusals import describe, explain_status, explain_transport, one_line, read_status

Resource = Literal["pods", "nodes"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Answer = TypeVar("Answer")

JSON: Final = "application/json"
#: Content types of a PATCH: https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"


@dataclass(frozen=True)
class ApiConnection:
    """A way to one API server; made by :func:`podlab.kubernetes.connect.connect`. Threads may share it.

    Attributes
    ----------
    credentials : Credentials
        Address, connections, and what goes along with each request.
    origin : str
        Where address and credentials came from, for errors.
    timeout_s : float
        Longest wait for a connection, and for each piece of an answer, in seconds.
    """

    credentials: Credentials = field(repr=False)
    origin: str
    timeout_s: float

    @property
    def host(self) -> str:
        """Address of the API server."""
        return self.credentials.host

    def close(self) -> None:
        """Close the open connections."""
        self.credentials.pool.clear()

    def request(
        self,
        method: Method,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        timeout_s: float | None = None,
    ) -> bytes:
        """Send one request and read its whole answer.

        Parameters
        ----------
        method : {"GET", "POST", "PUT", "PATCH", "DELETE"}
            What to do.
        path : str
            Where, from ``/api/`` or ``/apis/`` on; names in it go through :func:`urllib.parse.quote` where they may
            hold anything but letters, digits, dots and dashes.
        body : bytes or object, optional
            What to send: bytes as they are, anything else that msgspec encodes as JSON.
        query : mapping, optional
            Parameters of the address.
        content_type : str
            Of the body; a PATCH names its kind by it (:data:`MERGE_PATCH`, ...).
        timeout_s : float, optional
            Instead of the connection's own.

        Returns
        -------
        bytes
            The answer's body.

        Raises
        ------
        ConflictError
            If the object exists already, or is newer than the one sent.
        NotFoundError, ForbiddenError, ExpiredError, BusyError
            See :mod:`podlab.kubernetes.errors`.
        InputError
            If the server cannot be reached or trusted, or refuses the credentials or the request.
        PodlabError
            If the server fails, or its answer breaks off.
        """
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        response = self._send(method, path, query or {}, body, content_type, timeout_s)
        try:
            answer: bytes = response.data
        except HTTPError as error:
            raise self.explain(error, timeout_s) from None
        return answer

    def open_stream(self, path: str, query: Mapping[str, str], *, timeout_s: float) -> BaseHTTPResponse:
        """Send one GET and leave its answer to be read piece by piece; whoever opens it closes it.

        Parameters
        ----------
        path, query
            As for :meth:`request`.
        timeout_s : float
            Longest wait for each piece of the answer, in seconds.

        Returns
        -------
        BaseHTTPResponse
            Reading it raises what :meth:`explain` turns into an error to show.

        Raises
        ------
        PodlabError
            As :meth:`request`.
        """
        return self._send("GET", path, query, None, JSON, timeout_s)

    def explain(self, error: HTTPError, timeout_s: float) -> PodlabError:
        """Turn a fault between here and the server into an error that says what to do."""
        return explain_transport(error, host=self.host, origin=self.origin, timeout_s=timeout_s)

    def list_page(
        self,
        page_type: type[Answer],
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int | None = None,
        continue_token: str | None = None,
    ) -> Answer:
        """Fetch one page of a list.

        Parameters
        ----------
        page_type : type
            The msgspec struct to decode the answer into.
        resource : {"pods", "nodes"}
            What to list.
        namespace : str, optional
            Only pods of this namespace; all by default.
        label_selector, field_selector : str, optional
            Only objects with these labels or fields, written as for ``kubectl``.
        limit : int, optional
            Most objects in the page.
        continue_token : str, optional
            The ``metadata.continue`` of the page before.

        Returns
        -------
        Answer
            The decoded answer.

        Raises
        ------
        ExpiredError
            If the token is too old; the list has to begin anew.
        ForbiddenError
            If the right to list is missing.
        InputError
            If the server cannot be reached or trusted, or refuses the credentials or the request.
        PodlabError
            If the server fails, its answer breaks off, or is not what was asked for.
        """
        given = {
            "labelSelector": label_selector, "fieldSelector": field_selector, "limit": limit, "continue": continue_token
        }  # fmt: skip
        query = {name: str(value) for name, value in given.items() if value is not None}
        body = self.request("GET", collection_path(resource, namespace), query=query)
        try:
            return msgspec.json.decode(body, type=page_type)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            what = f"the answer to list {resource} cannot be read: {one_line(str(error))}"
            hint = "check that this address is a Kubernetes API server, then try again"
            raise PodlabError(what, where=self.host, hint=hint) from None

    def _send(
        self, method: Method, path: str, query: Mapping[str, str], body: object, content_type: str, timeout_s: float
    ) -> BaseHTTPResponse:
        """Send a request; give the answer, not read yet, if it is 2xx."""
        headers = {"Accept": JSON, "User-Agent": f"podlab/{podlab.__version__}"}
        payload = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        if payload is not None:
            headers["Content-Type"] = content_type
        headers |= self.credentials.headers()
        url = self.host + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        try:
            response = self.credentials.pool.request(
                method, url, body=payload, headers=headers, preload_content=False,
                timeout=Timeout(connect=min(self.timeout_s, timeout_s), read=timeout_s),
            )  # fmt: skip
            if 200 <= response.status <= 299:
                return response
            status = read_status(response.data, response.headers.get("Retry-After"))
        except HTTPError as error:
            raise self.explain(error, timeout_s) from None
        raise explain_status(response.status, status, describe(method, path, query), host=self.host, origin=self.origin)


def collection_path(resource: Resource, namespace: str | None = None) -> str:
    """Give the address of all objects of a kind, or of those in one namespace."""
    return f"/api/v1/{resource}" if namespace is None else f"/api/v1/namespaces/{quote(namespace, safe='')}/{resource}"
