"""The page cache, warmed and evicted file by file."""

from __future__ import annotations

from pathlib import Path

from lab import page_cache


def _tree(root: Path) -> Path:
    (root / "a/b").mkdir(parents=True)
    (root / "a/one").write_bytes(b"x" * 3_000_000)
    (root / "a/b/two").write_bytes(b"y" * 50)
    (root / "a/link").symlink_to("one")
    return root / "a"


def test_every_regular_file_is_read_once(tmp_path: Path) -> None:
    assert page_cache.warm([_tree(tmp_path)]) == 3_000_050
    assert page_cache.warm([tmp_path / "a/one", tmp_path / "missing"]) == 3_000_000


def test_evicting_loses_nothing(tmp_path: Path) -> None:
    folder = _tree(tmp_path)
    assert page_cache.evict([folder, tmp_path / "missing"]) == 3_000_050
    assert (folder / "one").read_bytes() == b"x" * 3_000_000


def test_layers_are_those_that_the_engine_tells() -> None:
    known = {"GraphDriver": {"Data": {"LowerDir": "/s/b/diff:/s/a/diff", "UpperDir": "/s/c/diff"}}}
    assert page_cache.layers(known) == [Path("/s/c/diff"), Path("/s/b/diff"), Path("/s/a/diff")]
    assert page_cache.layers({"GraphDriver": None}) == []
