"""Tests in a real browser, where there is one."""

from __future__ import annotations

import shutil

import pytest

#: ``.ci/run`` installs Chromium and fails without it, so these tests always run before a change lands.
needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None,
    reason="pages are drawn by Chromium, which make test does not bring: apt-get install chromium",
)
