"""The model in use, mounted as Kubernetes mounts a ConfigMap: links, all of which it turns at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from podlab.errors import InputError
from podlab.identify import fit
from podlab.model import bundle
from podlab.model.signature import SIGNATURE, sign_files
from podlab.watcher.runtime import ReloadableModel
from tests.support.bundles import write_bundle, write_keys
from tests.support.synthetic import make_samples


class Mount:
    """A ConfigMap's folder, as the kubelet keeps it: https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._number = 0

    def put(self, files: dict[str, bytes]) -> None:
        """Let the files be there, and no others, from one instant to the next."""
        self._number += 1
        own = self.folder / f"..2026_01_01_00_00_{self._number:02}"
        own.mkdir()
        for name, content in files.items():
            (own / name).write_bytes(content)
        turned = self.folder / "..data_tmp"
        turned.symlink_to(own.name)
        turned.rename(self.folder / "..data")
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return files_of(write_bundle(tmp_path_factory.mktemp("small") / "small"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("other") / "other"
    training = make_samples(("apache", "redis"), deployments_per_service=2, seconds=15)
    bundle.save(fit(training, jobs=1), folder, name="other")
    return files_of(folder)


@pytest.fixture
def mount(tmp_path: Path, small: dict[str, bytes]) -> Mount:
    made = Mount(tmp_path / "model")
    made.put(small)
    return made


def test_another_bundle_takes_the_place_of_the_first_without_a_restart(mount: Mount, other: dict[str, bytes]) -> None:
    slot = ReloadableModel(mount.folder)
    assert slot.name.startswith("small@")
    assert not slot.refresh()
    mount.put(other)
    assert slot.refresh()
    assert slot.name.startswith("other@")
    assert slot.refused is None
    assert not slot.refresh()


def test_a_bundle_of_which_a_byte_was_changed_is_refused_and_the_next_one_taken(
    mount: Mount, small: dict[str, bytes], other: dict[str, bytes]
) -> None:
    slot = ReloadableModel(mount.folder)
    name = max(other, key=lambda name: len(other[name]))
    mount.put(other | {name: other[name][:-1] + b"?"})
    assert not slot.refresh()
    assert slot.name.startswith("small@")
    assert f"{name}: was changed" in str(slot.refused)
    mount.put(other)
    assert slot.refresh()
    assert slot.refused is None


def test_the_same_bundle_mounted_anew_is_no_other_model(mount: Mount, small: dict[str, bytes]) -> None:
    slot = ReloadableModel(mount.folder)
    mount.put(small)
    assert not slot.refresh()
    assert slot.refused is None


def test_with_a_key_only_models_that_it_signed_are_used(
    mount: Mount, small: dict[str, bytes], other: dict[str, bytes], tmp_path: Path
) -> None:
    private, public = write_keys(tmp_path)
    foreign, _ = write_keys(tmp_path, "foreign")
    with pytest.raises(InputError, match="is not signed"):
        ReloadableModel(mount.folder, public)

    def signed(files: dict[str, bytes], key: Path) -> dict[str, bytes]:
        return files | {SIGNATURE: sign_files(files, key, name="any")}

    mount.put(signed(small, private))
    slot = ReloadableModel(mount.folder, public)
    mount.put(signed(other, foreign))
    assert not slot.refresh()
    assert "is signed by another key" in str(slot.refused)
    assert "\n" not in str(slot.refused)
    assert slot.name.startswith("small@")
    mount.put(signed(other, private))
    assert slot.refresh()
    assert slot.name.startswith("other@")
    assert slot.refused is None


def test_a_key_that_is_replaced_counts_at_once(
    mount: Mount, small: dict[str, bytes], other: dict[str, bytes], tmp_path: Path
) -> None:
    private, public = write_keys(tmp_path)
    later, later_public = write_keys(tmp_path, "later")
    mount.put(small | {SIGNATURE: sign_files(small, private, name="any")})
    slot = ReloadableModel(mount.folder, public)
    mount.put(other | {SIGNATURE: sign_files(other, later, name="any")})  # before its key
    assert not slot.refresh()
    public.write_bytes(later_public.read_bytes())
    assert slot.refresh()
    assert (slot.name[:6], slot.refused) == ("other@", None)
    public.write_bytes(write_keys(tmp_path, "last")[1].read_bytes())
    assert not slot.refresh()
    assert "is signed by another key" in str(slot.refused)
    assert slot.name.startswith("other@")
