"""Requests to the Kubernetes API server: decoded to the few needed fields, one clear line for what goes wrong.

The official client brings configuration and authentication. Its models are left aside: they cost 2 ms and
150 kB a pod, where decoding the needed fields from the raw bytes takes microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec
from kubernetes.client import ApiClient, ApiException, CoreV1Api
from kubernetes.config import ConfigException
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from podlab.cluster.errors import ExpiredError, ForbiddenError
from podlab.errors import InputError, PodlabError

Resource = Literal["pods", "nodes"]
Answer = TypeVar("Answer")

_LONGEST_MESSAGE = 300


class _Status(msgspec.Struct):
    """The body of a refusal: kind ``Status`` of the API's common definitions."""

    message: str = ""


@dataclass(frozen=True)
class ApiConnection:
    """A way to one API server; made by :func:`podlab.cluster.connect.connect`.

    Attributes
    ----------
    client : ApiClient
        The official client with address and credentials set.
    origin : str
        Where address and credentials came from, for errors.
    timeout_s : float
        Longest wait for a connection, and for each piece of an answer, in seconds.
    """

    client: ApiClient = field(repr=False)
    origin: str
    timeout_s: float

    @property
    def host(self) -> str:
        """Address of the API server."""
        return str(self.client.configuration.host)

    def close(self) -> None:
        """Close the open connections."""
        self.client.close()  # type: ignore[no-untyped-call]

    def list_page(
        self,
        page_type: type[Answer],
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
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
        label_selector : str, optional
            Only objects with these labels, written as for ``kubectl --selector``.
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
        given = {"label_selector": label_selector, "limit": limit, "_continue": continue_token}
        arguments: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        # The client's models are typed for answers that it decodes itself; here the raw answer comes back.
        core: Any = CoreV1Api(self.client)
        if resource == "nodes":
            list_resource, scope = core.list_node, ""
        elif namespace is None:
            list_resource, scope = core.list_pod_for_all_namespaces, " in all namespaces"
        else:
            list_resource, scope = core.list_namespaced_pod, f" in namespace {namespace!r}"
            arguments["namespace"] = namespace
        try:
            response = list_resource(**arguments, _preload_content=False, _request_timeout=self.timeout_s)
            body: bytes = response.data
        except ApiException as error:
            raise self._explain_refusal(error, f"list {resource}{scope}") from None
        except HTTPError as error:
            raise self._explain_transport(error) from None
        except (ConfigException, OSError) as error:
            # The client reads a token's file again now and then, and may find it gone.
            what = f"the credentials cannot be read: {one_line(str(error))}"
            raise InputError(what, where=self.origin) from None
        try:
            return msgspec.json.decode(body, type=page_type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = f"the answer to list {resource} cannot be read: {one_line(str(error))}"
            todo = "check that this address is a Kubernetes API server, then try again"
            raise PodlabError(what, where=self.host, todo=todo) from None

    def _explain_refusal(self, error: ApiException, action: str) -> PodlabError:
        """Turn an answer that is not 2xx into an error that says what to do."""
        if not error.status:
            return self._explain_tls(str(error.reason))
        message = _message_of(error.body)
        said = f": {message}" if message else ""
        if error.status == 401:
            return InputError(
                "the API server does not accept the credentials (401)",
                where=self.host,
                todo=f"renew or correct those of {self.origin}",
            )
        if error.status == 403:
            todo = f"grant the verb 'list' on that resource to the user of {self.origin}"
            return ForbiddenError(f"no right to {action} (403){said}", where=self.host, todo=todo)
        if error.status == 404:
            todo = "give the address of a Kubernetes API server"
            return InputError(f"cannot {action}: no such path (404)", where=self.host, todo=todo)
        if error.status == 410:
            return ExpiredError(f"cannot {action}: the list expired while it was read (410)", where=self.host)
        if error.status in (400, 422):
            return InputError(f"the API server refuses to {action} ({error.status}){said}", where=self.host)
        what = f"the API server failed to {action} ({error.status}){said}"
        return PodlabError(what, where=self.host, todo="try again later")

    def _explain_transport(self, error: HTTPError) -> PodlabError:
        """Turn a fault between here and the server into an error that says what to do."""
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        if isinstance(reason, SSLError):
            return self._explain_tls(str(reason))
        if isinstance(reason, (NewConnectionError, ConnectTimeoutError)):
            last_part = one_line(str(reason).rpartition(": ")[2])
            todo = "check the address, the network and whether the cluster runs"
            return InputError(f"the API server cannot be reached: {last_part}", where=self.host, todo=todo)
        if isinstance(reason, ReadTimeoutError):
            what = f"the API server gave no answer within {self.timeout_s:g} s"
            return PodlabError(what, where=self.host, todo="try again, or allow a longer timeout")
        return PodlabError("the connection broke off before the whole answer came", where=self.host, todo="try again")

    def _explain_tls(self, reason: str) -> InputError:
        # "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)"
        what = f"no trusted connection: {one_line(reason.rpartition('] ')[2].partition(' (_ssl')[0])}"
        return InputError(what, where=self.host, todo=f"check the certificate authority in {self.origin}")


def one_line(text: str) -> str:
    """Press a message of others into one line of bounded length."""
    return " ".join(text.split())[:_LONGEST_MESSAGE]


def _message_of(body: str | None) -> str:
    """Read the message of a refusal; empty where the body is no ``Status``, such as a proxy's page."""
    try:
        return one_line(msgspec.json.decode(body or "", type=_Status).message)
    except msgspec.DecodeError:
        return ""
