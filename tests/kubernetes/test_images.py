"""The many spellings of one image are the same image."""

from __future__ import annotations

import pytest

from podlab.kubernetes.inventory import normal_name, size_of

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("docker.io/nginx:1.25", "docker.io/library/nginx:1.25"),
        ("index.docker.io/library/nginx:1.25", "docker.io/library/nginx:1.25"),
        ("bitnami/mysql", "docker.io/bitnami/mysql:latest"),
        ("quay.io/team/app:2", "quay.io/team/app:2"),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        ("registry.example/app", "registry.example/app:latest"),
        (f"nginx:1.25@{DIGEST}", DIGEST),
        (f"docker-pullable://nginx@{DIGEST}", DIGEST),
        (f"docker://{DIGEST}", DIGEST),
        (DIGEST, DIGEST),
    ],
)
def test_full_names(image: str, full: str) -> None:
    assert normal_name(image) == full


def test_the_size_is_that_of_the_first_name_known() -> None:
    sizes = {DIGEST: 10, "docker.io/library/nginx:1.25": 20}
    assert size_of([f"docker.io/library/nginx@{DIGEST}", "nginx:1.25"], sizes) == 10
    assert size_of(["", "other", "nginx:1.25"], sizes) == 20
    assert size_of(["nginx"], sizes) is None
