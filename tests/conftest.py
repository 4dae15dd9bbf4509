"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

from tests.support.certificates import make_certificate

# How long an example takes says more about what else the machine does than about podlab.
hypothesis.settings.register_profile("podlab", deadline=None)
hypothesis.settings.load_profile("podlab")

pytest_plugins = ["tests.support.command", "tests.support.influxd", "tests.support.prometheusd"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A server's certificate for loopback, and the authority that vouches for it."""
    return make_certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests must not see the developer's own PODLAB_* variables."""
    import os

    for name in list(os.environ):
        if name.startswith("PODLAB_"):
            monkeypatch.delenv(name)
