"""Where settings come from, what is refused, and that secrets stay secret."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from podlab.config import explicitly_set, load_settings
from podlab.errors import InputError


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_command_line_beats_environment_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().fetch_window == timedelta(seconds=600)
    Path("podlab.toml").write_text('fetch_window = "1m"\nseed = 7\n')
    assert load_settings().fetch_window == timedelta(minutes=1)
    monkeypatch.setenv("PODLAB_FETCH_WINDOW", "2m")
    assert load_settings().fetch_window == timedelta(minutes=2)
    assert load_settings(fetch_window="3m").fetch_window == timedelta(minutes=3)
    assert load_settings(fetch_window=None).seed == 7


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_SERVICES", "mysql, nginx")
    assert load_settings().services == ("mysql", "nginx")
    assert load_settings(services="redis").services == ("redis",)


def test_what_is_empty_in_the_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN", "STATE", "LEASE", "SELECTOR", "NAMESPACES", "SINKS"):
        monkeypatch.setenv(f"PODLAB_WATCH_{name}", "")
    got = load_settings()
    assert (got.watch_listen, got.watch_state, got.watch_lease, got.watch_selector) == (None, None, None, None)
    assert (got.watch_namespaces, got.watch_sinks) == ((), ())


def test_what_was_set_is_told_apart_from_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_SEED", "3")
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", "hunter2")
    assert explicitly_set(load_settings(training_iterations=4)) == {"seed": 3, "training_iterations": 4}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PODLAB_FETCH_WINDOWS", "60s", "PODLAB_FETCH_WINDOWS: unknown setting; settings are training_interval"),
        ("PODLAB_FETCH_WINDOW", "60", "PODLAB_FETCH_WINDOW: '60' is not a duration"),
        ("PODLAB_SEED", "many", "PODLAB_SEED: Input should be a valid integer"),
        ("PODLAB_TRAINING_RATIO", "1.5", "PODLAB_TRAINING_RATIO: Input should be less than 1"),
        ("PODLAB_KUBERNETES_ACCESS", "sideways", "PODLAB_KUBERNETES_ACCESS: Input should be 'auto', 'inside'"),
        (
            "PODLAB_WATCH_SINKS",
            "log,pager",
            "PODLAB_WATCH_SINKS: 'pager' is not a sink; known are event, annotation, influxdb, log",
        ),
        ("PODLAB_PROMETHEUS_LABELS", "east", "PODLAB_PROMETHEUS_LABELS: 'east' is not a label and its value"),
        ("PODLAB_PROMETHEUS_LABELS", 'a="b"c=d,b-c=d', "PODLAB_PROMETHEUS_LABELS: 'b-c' is not a label and its value"),
        (
            "PODLAB_WATCH_NAMESPACES",
            "shop bank",
            "PODLAB_WATCH_NAMESPACES: 'shop bank' is not a valid name of a namespace; write",
        ),
        (
            "PODLAB_WATCH_EXCLUDED_NAMESPACES",
            "a,kube-*",
            "PODLAB_WATCH_EXCLUDED_NAMESPACES: 'kube-*' is not a valid name",
        ),
        (
            "PODLAB_INFLUXDB_URL",
            "http://influxdb:8O86",
            "PODLAB_INFLUXDB_URL: has a port or a host's name that is none",
        ),
        ("PODLAB_PROMETHEUS_URL", "http://a:99999", "PODLAB_PROMETHEUS_URL: has a port or a host's name that is none"),
        ("PODLAB_PROMETHEUS_URL", "http://.svc", "PODLAB_PROMETHEUS_URL: has a port or a host's name that is none"),
        ("PODLAB_INFLUXDB_URL", "http://a\tb", "PODLAB_INFLUXDB_URL: "),
        ("PODLAB_INFLUXDB_URL", "localhost:8086", "PODLAB_INFLUXDB_URL: is not an http:// or https:// address"),
        ("PODLAB_INFLUXDB_URL", "http://me:hunter2@db", "PODLAB_INFLUXDB_URL: holds a user or password"),
        ("PODLAB_INFLUXDB_URL", "http://db/?u=me&p=hunter2", "PODLAB_INFLUXDB_URL: holds more than an address"),
        ("PODLAB_PROMETHEUS_URL", "http://db#hunter2", "PODLAB_PROMETHEUS_URL: holds more than an address"),
    ],
)
def test_bad_values_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError) as caught:
        load_settings()
    assert str(caught.value).startswith(words)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sede = 1", "podlab.toml: sede: unknown setting"),
        ('influxdb_password = "hunter2"', "podlab.toml: influxdb_password must not stand in a file"),
        ('prometheus_token = "hunter2"', "podlab.toml: prometheus_token must not stand in a file"),
        ("seed = ", "podlab.toml: not valid TOML"),
    ],
)
def test_bad_files_are_refused(text: str, words: str) -> None:
    Path("podlab.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_settings()
    assert str(caught.value).startswith(words)
    assert "hunter2" not in str(caught.value)


def test_variables_that_kubernetes_sets_for_a_service_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PODLAB_SERVICE_HOST", "PODLAB_SERVICE_PORT_HTTP", "PODLAB_PORT_8080_TCP_ADDR", "PODLAB_WATCHER_PORT"):
        monkeypatch.setenv(name, "10.0.0.1")
    assert load_settings().seed == 0


def test_the_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODLAB_INFLUXDB_PASSWORD", "hunter2")
    settings = load_settings()
    assert settings.secret("influxdb_password") == "hunter2"
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump_json()} {settings.model_dump()}"


def test_the_password_can_come_from_a_mounted_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    assert load_settings(influxdb_password_file=secret).secret("influxdb_password") == "hunter2"
    with pytest.raises(InputError, match="cannot read the password"):
        load_settings(influxdb_password_file=tmp_path / "nowhere").secret("influxdb_password")


def test_a_token_in_the_place_of_its_file_is_not_shown(tmp_path: Path) -> None:
    for token in ("eyJhunter2.e30.abc", "ab/hunter2+", "hunter2"):
        with pytest.raises(InputError, match=r"^prometheus_token_file: cannot read the token: No such file") as caught:
            load_settings(prometheus_token_file=Path(token)).secret("prometheus_token")
        assert "hunter2" not in str(caught.value)
    with pytest.raises(InputError, match=f"^prometheus_token_file {tmp_path}/nowhere: cannot read the token"):
        load_settings(prometheus_token_file=tmp_path / "nowhere").secret("prometheus_token")


def test_the_watchers_own_pod_is_read_in_three_parts() -> None:
    pod = load_settings(watch_pod="podlab/podlab-watcher-7d9/0cb202f6-3d80").watch_pod
    assert pod is not None
    assert (pod.namespace, pod.name, pod.uid) == ("podlab", "podlab-watcher-7d9", "0cb202f6-3d80")
    assert load_settings(watch_pod="").watch_pod is None
    for wrong in ("podlab/watcher", "//", "Pod Lab/w/u", "podlab/w/u/x", "$(POD_NAMESPACE)/$(POD_NAME)/$(POD_UID)"):
        with pytest.raises(InputError, match=r"write namespace/name/uid"):
            load_settings(watch_pod=wrong)
