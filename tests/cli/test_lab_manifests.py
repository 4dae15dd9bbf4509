"""``podlab lab manifests`` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.command import Call

GUIDE = Path(__file__).parent.parent.parent / "docs" / "lab.md"


@pytest.fixture
def own_services(tmp_path: Path) -> Path:
    """The guide's service file in a folder outside the package."""
    text = GUIDE.read_text().split("```toml\n")[1].split("```")[0]
    folder = tmp_path / "my-services"
    folder.mkdir()
    (folder / "mini-httpd.toml").write_text(text)
    return folder


def test_the_guides_service_goes_into_a_cluster(call: Call, own_services: Path, tmp_path: Path) -> None:
    out = tmp_path / "manifests"
    words = ("--services", "mini-httpd", "--per-service", "2", "--image-prefix", "registry.example/mine/", "--json")
    called = call("lab", "manifests", "--catalogue", own_services, "--out", out, *words)
    assert called.exit_code == 0, called.err
    (told,) = called.lines
    assert (told["services"], told["deployments"], told["namespace"]) == (["mini-httpd"], 2, "podlab-lab")
    assert set(told["images_to_make"]) == {
        "registry.example/mine/client:debian12", "registry.example/mine/mini-httpd:debian12",
    }  # fmt: skip
    for folder in told["images_to_make"].values():
        assert (out / folder / "Containerfile").read_text().startswith("FROM docker.io/library/debian:12-slim\n")
    assert (told["requested_cpu_cores"], told["memory_limit_bytes"] % 2**20) == (0.4, 0)
    kinds = [document["kind"] for path in out.glob("*.yaml") for document in yaml.safe_load_all(path.read_text())]
    assert kinds.count("Pod") == 4


def test_text_tells_what_to_do_next(call: Call, tmp_path: Path) -> None:
    called = call("lab", "manifests", "--services", "redis", "--patterns", "idle", "--out", tmp_path / "out")
    assert called.exit_code == 0, called.err
    assert f"kubectl apply -k {tmp_path / 'out'}" in called.out
    assert "podlab collect --services redis" in called.out
    assert "podman push" not in called.out, "an image called localhost cannot be pushed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--services", "redsi"), "redsi"),
        (("--services", "redis", "--patterns", "windy"), "windy"),
        (("--services", "redis", "--namespace", "Team A"), "Team A"),
        (("--services", "redis", "--catalogue", "nowhere"), "nowhere"),
        (("--services", "redis", "--seconds", "1"), "--seconds"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    call: Call, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    called = call("lab", "manifests", "--out", tmp_path / "out", *words)
    assert (called.exit_code, called.out) == (2, "")
    assert message in called.err
    assert called.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(call: Call, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    called = call("lab", "manifests", "--services", "redis", "--patterns", "idle", "--out", tmp_path)
    assert called.exit_code == 2
    assert (tmp_path / "thesis.txt").exists()
