"""Asking kubelets directly, each at its node's own address, with every refusal turned into one clear line.

A kubelet checks the caller's token and rights with the API server: ``get`` on ``nodes/stats`` for ``/stats/*`` and on
``nodes/metrics`` for ``/metrics/*``
(https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/). The way through the API server would
need ``nodes/proxy``, which also lets its holder run commands in every container.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError, SSLError

from podlab.errors import InputError, PodlabError

_ERRNO: Final = re.compile(r"^\[Errno \d+\] ")
_PIECE_BYTES: Final = 1 << 16
#: 250 pods, four devices each, with all of cAdvisor's families take about 20 MB.
_MOST_BYTES: Final = 128_000_000
_RIGHTS: Final = {"/stats/summary": "nodes/stats", "/metrics/cadvisor": "nodes/metrics"}
#: Connections kept open, the least used closed first: one to each node of a large cluster.
_MOST_CONNECTIONS: Final = 1024


class KubeletAddress(NamedTuple):
    """Where a node's kubelet listens."""

    node: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass
class KubeletClient:
    """Asks kubelets; threads may share it.

    Parameters
    ----------
    headers : callable
        Gives the headers that tell who asks, anew for each request: tokens are renewed.
    authority : str, optional
        File with the certificates that sign the kubelets' own; the system's by default.
    verify : bool
        False: take any certificate. Whoever can stand in between then gets the token.
    certificate, key : str, optional
        Files with the caller's own certificate.
    timeout_s : float
        Longest time for a whole answer.
    most_bytes : int
        A longer answer is not read to its end.
    """

    headers: Callable[[], Mapping[str, str]] = field(repr=False)
    authority: str | None = None
    verify: bool = True
    certificate: str | None = None
    key: str | None = None
    timeout_s: float = 10.0
    most_bytes: int = _MOST_BYTES

    def __post_init__(self) -> None:
        options: dict[str, Any] = {"ca_certs": self.authority} if self.verify else {"assert_hostname": False}
        self._pool = urllib3.PoolManager(
            num_pools=_MOST_CONNECTIONS, maxsize=1, cert_reqs="CERT_REQUIRED" if self.verify else "CERT_NONE",
            cert_file=self.certificate, key_file=self.key, **options,
        )  # fmt: skip
        if not self.verify:
            # It was chosen, and said so once; not again for each answer.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.clear()

    def get(self, address: KubeletAddress, path: str) -> bytes:
        """Read one answer.

        Raises
        ------
        InputError
            If the kubelet is not trusted, or refuses the caller.
        PodlabError
            If it cannot be reached, fails, takes too long, or answers at too great length.
        """
        where = f"node {address.node} ({address.url})"
        until_s = time.monotonic() + self.timeout_s
        try:
            answer = self._pool.request(
                "GET", address.url + path, headers={"User-Agent": "podlab", **self.headers()}, retries=False,
                redirect=False, preload_content=False, timeout=urllib3.Timeout(self.timeout_s),
            )  # fmt: skip
            try:
                body = self._read(answer, until_s, where)
            except BaseException:
                # What was not read to its end must not be the next answer's beginning.
                answer.close()
                raise
            answer.release_conn()
        except HTTPError as error:
            raise self._explain(error, where) from None
        if answer.status != 200:
            raise _refusal(answer.status, path, body, where)
        return body

    def _read(self, answer: urllib3.BaseHTTPResponse, until_s: float, where: str) -> bytes:
        body = bytearray()
        # What has come is given at once, so that the time is looked at however slowly it comes.
        while part := answer.read1(_PIECE_BYTES):
            body += part
            if len(body) > self.most_bytes:
                what = f"the answer has more than {self.most_bytes:,} bytes"
                raise PodlabError(what, where=where, hint="check that it is a kubelet")
            if time.monotonic() > until_s:
                raise self._too_slow(where)
        return bytes(body)

    def _too_slow(self, where: str) -> PodlabError:
        return PodlabError(f"the kubelet gave no whole answer within {self.timeout_s:g} s", where=where)

    def _explain(self, error: HTTPError, where: str) -> PodlabError:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        said = " ".join(str(reason).split())[:200]
        if isinstance(reason, SSLError):
            why = said.rpartition("] ")[2].partition(" (_ssl")[0]
            hint = (
                "set kubelet_ca_file to the file of the certificates that sign the kubelets', or kubelet_verify=false"
            )
            return InputError(f"the kubelet is not trusted: {why}", where=where, hint=hint)
        if isinstance(reason, (NewConnectionError, ConnectTimeoutError)):
            hint = "check that the node's port can be reached from here (network policy, firewall)"
            return PodlabError(
                f"the kubelet cannot be reached: {_ERRNO.sub('', said.rpartition(': ')[2])}", where=where, hint=hint
            )
        if isinstance(reason, urllib3.exceptions.TimeoutError):
            return self._too_slow(where)
        return PodlabError("the connection broke off before the whole answer came", where=where)


def _refusal(status: int, path: str, body: bytes, where: str) -> PodlabError:
    said = " ".join(body[:300].decode("utf-8", "replace").split())
    if status == 401:
        hint = "renew the token; the kubelet must check tokens with the API server (authentication.webhook.enabled)"
        return InputError("the kubelet does not accept the credentials (401)", where=where, hint=hint)
    if status == 403:
        hint = f"grant the verb get on {_RIGHTS.get(path, path)} (deploy/overlays/kubelet/rbac.yaml)"
        return InputError(f"no right to {path} (403): {said}", where=where, hint=hint)
    return PodlabError(f"the kubelet answered {path} with {status}: {said}", where=where)
