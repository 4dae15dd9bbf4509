"""The only place of these tests that imports podlab: when modules move, this is what to mend."""

from __future__ import annotations

from pydantic_settings import BaseSettings

from podlab.cli import app, main
from podlab.config import Settings

SETTINGS: type[BaseSettings] = Settings

__all__ = ["SETTINGS", "app", "main"]
