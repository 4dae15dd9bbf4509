"""The API server is found in a pod, by kubeconfig or at a given address, and credentials stay secret."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path

import certifi
import pytest
import yaml

from podlab.errors import InputError
from podlab.kubernetes import client
from podlab.kubernetes.client import connect
from podlab.kubernetes.inventory import read_inventory
from tests.kubernetes.conftest import TOKEN
from tests.support.kubeapi import KubeApi
from tests.support.kubeobjects import make_pod

POD_TOKEN = "token-of-the-pod"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither the developer's kubeconfig nor a pod's service account may be seen."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(client, "SERVICE_ACCOUNT", tmp_path / "nowhere")
    return tmp_path


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """The surroundings of a pod: two variables and a folder with the service account."""
    folder = home / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text(POD_TOKEN + "\n", encoding="utf-8")
    shutil.copy(certifi.where(), folder / "ca.crt")
    monkeypatch.setattr(client, "SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


def default_kubeconfig(api: KubeApi, home: Path) -> None:
    (home / ".kube").mkdir()
    api.write_kubeconfig(home / ".kube" / "config", TOKEN)


def users_seen(api: KubeApi, **how: object) -> set[str]:
    """Read the inventory and tell whom the server saw."""
    api.store.put("pods", make_pod("web"))
    assert len(read_inventory(connect(**how))) == 1  # type: ignore[arg-type]
    return {request.user for request in api.requests}


def test_a_kubeconfig_by_argument(api: KubeApi, home: Path) -> None:
    assert users_seen(api, kubeconfig=api.write_kubeconfig(home / "mine", TOKEN)) == {"reader"}


def test_a_kubeconfig_by_variable(api: KubeApi, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{home / 'missing'}:{api.write_kubeconfig(home / 'mine', TOKEN)}")
    assert users_seen(api) == {"reader"}


def test_the_kubeconfig_of_the_home_folder(api: KubeApi, home: Path) -> None:
    default_kubeconfig(api, home)
    assert users_seen(api, access="outside") == {"reader"}


def test_another_context_can_be_named(api: KubeApi, home: Path) -> None:
    path = api.write_kubeconfig(home / "mine", TOKEN)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["contexts"].append({"name": "other", "context": {"cluster": "here", "user": "other"}})
    config["users"].append({"name": "other", "user": {"token": POD_TOKEN}})
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    api.add_user(POD_TOKEN, "the pod")
    assert users_seen(api, kubeconfig=path, context="other") == {"the pod"}
    with pytest.raises(InputError, match=r"Expected object with name third in .*contexts"):
        connect(kubeconfig=path, context="third")


def test_in_a_pod_its_service_account_is_used(pod: Path) -> None:
    assert connect().host == "https://10.96.0.1:443"
    assert connect(access="inside").origin == "the pod's service account"


def test_an_endpoint_overrides_the_address_beside_the_credentials(api: KubeApi, pod: Path) -> None:
    api.add_user(POD_TOKEN, "the pod")
    assert users_seen(api, endpoint=api.url) == {"the pod"}


def test_an_endpoint_holds_over_several_requests(api: KubeApi, home: Path) -> None:
    elsewhere = api.write_kubeconfig(home / "mine", TOKEN, server="http://127.0.0.1:1")
    connection = connect(api.url, kubeconfig=elsewhere)
    for _ in range(2):
        read_inventory(connection)
    assert connection.host == api.url


def test_in_a_pod_a_named_kubeconfig_goes_first_and_the_home_folders_does_not(
    api: KubeApi, pod: Path, home: Path
) -> None:
    default_kubeconfig(api, home)
    assert connect().origin == "the pod's service account"
    assert connect(kubeconfig=home / ".kube" / "config").host == api.url
    assert connect(access="outside").host == api.url


def test_an_endpoint_alone_is_asked_without_credentials(api: KubeApi) -> None:
    api.allow("system:anonymous", ["list"], ["pods", "nodes"])
    assert users_seen(api, endpoint=api.url) == {"system:anonymous"}


def test_a_token_file_may_end_with_a_line_break(api: KubeApi, home: Path) -> None:
    path = api.write_kubeconfig(home / "mine")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    (home / "token").write_text(TOKEN + "\n", encoding="utf-8")
    config["users"][0]["user"] = {"tokenFile": "token"}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    assert users_seen(api, kubeconfig=path) == {"reader"}


def test_without_anything_the_error_tells_what_was_looked_for() -> None:
    with pytest.raises(InputError, match=r"KUBECONFIG is not set, there is no ~/\.kube/config.*not run in a pod; name"):
        connect()


@pytest.mark.parametrize(
    ("file", "words"), [("token", "token is empty"), ("ca.crt", "ca.crt is empty"), (None, "KUBERNETES_SERVICE_HOST")]
)
def test_a_service_account_that_is_not_all_there(
    pod: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, words: str
) -> None:
    if file is None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    else:
        (pod / file).write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"not in a pod with a service account: {words}"):
        connect(access="inside")


def test_an_authority_that_is_no_certificate_is_told_at_once(pod: Path) -> None:
    (pod / "ca.crt").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match="not in a pod with a service account"):
        connect(access="inside")


def test_in_a_pod_an_address_of_the_new_kind_stands_in_brackets(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert connect().host == "https://[fd00::1]:443"


def test_in_a_pod_the_official_client_is_not_even_imported(pod: Path) -> None:
    script = "import sys, podlab.watcher.app; from podlab.kubernetes import client; from pathlib import Path; "
    script += f"client.SERVICE_ACCOUNT = Path({str(pod)!r}); print(client.service_account().host); "
    script += "print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["https://10.96.0.1:443", "False"]


def test_inside_outside_a_pod(home: Path) -> None:
    with pytest.raises(
        InputError, match=r"nowhere: not in a pod.*; mount a service account token, or use a kubeconfig"
    ):
        connect(access="inside")


def test_outside_without_a_kubeconfig() -> None:
    with pytest.raises(InputError, match=r"^kubeconfig ~/\.kube/config: no such file; name an existing one"):
        connect(access="outside")


def test_a_kubeconfig_without_the_package_that_reads_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the images, which leave it out."""
    path = home / "config"
    path.write_text("apiVersion: v1\n")
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(InputError) as refused:
        connect(kubeconfig=path)
    assert str(refused.value) == (
        f"kubeconfig {path}: reading it needs the package kubernetes; "
        "install podlab[kubeconfig], or run podlab in a pod (access inside)"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is not valid YAML"),
        ("hello", "is not a kubeconfig"),
        ("- 1\n- 2\n", "is not a kubeconfig"),
        ("", "Invalid kube-config"),
        ("users:\n- name: me\n  user: {token: hush-hush}\ncurrent-context: x\n", "Expected object with name x"),
        ("{contexts: [{context: {}}], users: [{name: me, user: {token: hush-hush}}]}", "Expected"),
        ("users:\n- user: {token: hush-hush}\n  oops: [\n", "is not valid YAML"),
    ],
)
def test_a_broken_kubeconfig_is_named_and_not_quoted(home: Path, text: str, words: str) -> None:
    path = home / "broken"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"^kubeconfig {path}: .*{words}") as error:
        connect(kubeconfig=path)
    assert "hush" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(api: KubeApi, home: Path) -> None:
    path = api.write_kubeconfig(home / "mine", "hush\nhush")
    with pytest.raises(InputError, match="the token holds a character that no token may hold") as error:
        connect(kubeconfig=path)
    assert "hush" not in str(error.value)


def test_credentials_are_never_sent_unencrypted_over_a_network(pod: Path) -> None:
    with pytest.raises(InputError, match=r"^http://cluster\.example:8080: .*unencrypted; give an https:// address"):
        connect("http://cluster.example:8080")


def test_a_connection_does_not_show_its_token(connection: object) -> None:
    assert TOKEN not in repr(connection)


def test_a_proxy_of_the_environment_is_read_as_for_every_server(
    api: KubeApi, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks://me:hunter2@127.0.0.1:7890/")
    monkeypatch.setenv("HTTP_PROXY", "socks://me:hunter2@127.0.0.1:7890/")
    monkeypatch.setenv("NO_PROXY", "fd12:3456::/32")
    path = api.write_kubeconfig(home / "near", TOKEN)
    assert connect(kubeconfig=path).host == api.url
    path.write_text(path.read_text().replace(api.url, "https://cluster.example.org:6443"))
    with pytest.raises(InputError, match=r"^HTTPS_PROXY: 'socks://127.0.0.1:7890/' is a proxy of a kind"):
        connect(kubeconfig=path)


def test_a_proxy_gets_the_login_that_its_address_holds(
    api: KubeApi, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter%402@proxy.example:3128")
    path = api.write_kubeconfig(home / "config", TOKEN, server="https://api.example.org:6443")
    pool = connect(kubeconfig=path).credentials.pool
    assert str(pool.proxy).endswith("proxy.example:3128")
    login = base64.b64encode(b"me:hunter@2").decode()
    assert pool.proxy_headers["Proxy-Authorization"] == f"Basic {login}"


def test_a_proxy_of_the_kubeconfig_that_is_none(api: KubeApi, home: Path) -> None:
    path = api.write_kubeconfig(home / "config", TOKEN, **{"proxy-url": "ftp://me:hunter2@127.0.0.1:1"})
    with pytest.raises(InputError, match=r"kubeconfig .*config: its proxy-url cannot be used") as error:
        connect(kubeconfig=path)
    assert "hunter2" not in str(error.value)
