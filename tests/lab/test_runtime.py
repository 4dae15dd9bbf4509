"""What podman and docker are asked: whole argument lists, nothing pasted through a shell."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.runtime import LABEL, ContainerSpec, Runtime, read_facts
from podlab.errors import InputError, PodlabError

NASTY = "a b; $(touch /tmp/x) 'q' \"d\" `e` \n*"


def _option(arguments: list[str], name: str) -> list[str]:
    return [arguments[i + 1] for i, argument in enumerate(arguments) if argument == name]


def test_every_part_of_a_container_is_one_argument() -> None:
    spec = ContainerSpec(
        name="n", image="i", command=("run", NASTY), network="net", ip="10.0.0.2", cpu_limit_cores=0.5,
        memory_limit="64m", environment={"A": NASTY}, mounts={"/etc/x": Path("/files/x")}, volume=("v", "/data"),
        disk_bytes_per_s=40_000_000,
    )  # fmt: skip
    arguments = Runtime("podman").create_arguments(spec)
    assert arguments[0] == "create"
    assert arguments[-3:] == ["i", "run", NASTY]
    assert _option(arguments, "--env") == [f"A={NASTY}"]
    assert _option(arguments, "--label") == [LABEL]
    assert _option(arguments, "--cpus") == ["0.5"]
    assert _option(arguments, "--memory") == ["64m"]
    assert all(limit.endswith(":40000000") for limit in _option(arguments, "--device-read-bps"))
    assert len(_option(arguments, "--device-read-bps")) == len(_option(arguments, "--device-write-bps"))
    assert _option(arguments, "--ip") == ["10.0.0.2"]
    assert _option(arguments, "--mac-address") == ["02:42:0a:00:00:02"]
    assert _option(arguments, "--volume") == ["/files/x:/etc/x:ro", "v:/data"]
    assert [text.split("=")[0] for text in _option(arguments, "--ulimit")] == ["nofile", "nproc"]


def test_an_entry_point_is_replaced_only_when_asked() -> None:
    spec = ContainerSpec(name="n", image="i", command=("a", "b"))
    assert "--entrypoint" not in Runtime("docker").create_arguments(spec)
    arguments = Runtime("docker").create_arguments(replace(spec, keep_entrypoint=False))
    assert _option(arguments, "--entrypoint") == ["a"]
    assert arguments[-2:] == ["i", "b"]


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(InputError, match="rkt"):
        Runtime("rkt")


PODMAN_SAYS = """{"State": {"Pid": 7, "StartedAt": "2026-11-23T21:04:14.915827937Z"},
 "GraphDriver": {"Name": "overlay", "Data": {"UpperDir": "/layers/a/diff"}},
 "HostConfig": {"LogConfig": {"Type": "k8s-file", "Path": "/logs/ctr.log"}},
 "Mounts": [{"Type": "bind", "Source": "/etc/x"}, {"Type": "volume", "Source": "/volumes/v/_data"}]}"""
DOCKER_SAYS = """{"State": {"Pid": 7, "StartedAt": "2026-11-23T21:04:14.915827937Z"}, "LogPath": "/logs/a-json.log",
 "GraphDriver": null, "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}}, "Mounts": []}"""


def test_both_engines_tell_where_a_container_is() -> None:
    podman, docker = (read_facts(json.loads(text)) for text in (PODMAN_SAYS, DOCKER_SAYS))
    assert podman.pid == docker.pid == 7
    assert podman.started_at == docker.started_at == datetime(2026, 11, 23, 21, 4, 14, 915827, tzinfo=UTC)
    assert (podman.layer, podman.log) == (Path("/layers/a/diff"), Path("/logs/ctr.log"))
    assert podman.volume == Path("/volumes/v/_data")
    assert (docker.layer, docker.log, docker.volume) == (None, Path("/logs/a-json.log"), None)


@pytest.fixture
def engine_saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in program named podman that prints its arguments, or fails when the first is ``fail``."""
    program = tmp_path / "podman"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "if sys.argv[1] == 'fail':\n    print('warning: x', file=sys.stderr)\n    sys.exit('Error: no such image')\n"
        "print(json.dumps(sys.argv[1:]))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


def test_arguments_reach_the_engine_as_they_are(engine_saying: Path) -> None:
    assert json.loads(Runtime("podman").call(["run", NASTY])) == ["run", NASTY]


def test_an_engine_that_refuses_is_quoted_by_its_last_line(engine_saying: Path) -> None:
    with pytest.raises(PodlabError, match=r"^podman fail: Error: no such image$"):
        Runtime("podman").call(["fail"])


def test_an_engine_that_is_not_installed_is_the_users_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not Runtime("docker").installed()
    with pytest.raises(InputError, match="install docker"):
        Runtime("docker").call(["ps"])
