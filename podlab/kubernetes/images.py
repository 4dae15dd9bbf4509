"""Image names: the many spellings of one image, and its size on a node."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_RUNTIME_PREFIXES: Final = ("docker-pullable://", "docker://")
_DEFAULT_REGISTRY: Final = "docker.io"
_DEFAULT_TAG: Final = "latest"


# Thousands of containers run a few dozen images.
@lru_cache(maxsize=4096)
def normal_name(image: str) -> str:
    """Spell an image's name in full, as container runtimes do.

    The first part of a name is a registry only if it holds a dot or a colon or is ``localhost``
    (https://github.com/distribution/reference); Docker Hub's own images live below ``library/``.

    Parameters
    ----------
    image : str
        A name as in a pod's spec, in a pod's status or in a node's list.

    Returns
    -------
    str
        Registry, path and tag; or, where the name holds a digest, the digest alone, because that says all.

    Examples
    --------
    >>> normal_name("nginx")
    'docker.io/library/nginx:latest'
    >>> normal_name("docker-pullable://nginx@sha256:0123")
    'sha256:0123'
    """
    for prefix in _RUNTIME_PREFIXES:
        image = image.removeprefix(prefix)
    name, _, digest = image.partition("@")
    if digest:
        return digest
    if name.startswith("sha256:"):
        return name
    registry, slash, path = name.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, path = _DEFAULT_REGISTRY, name
    if registry == "index.docker.io":
        registry = _DEFAULT_REGISTRY
    if registry == _DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    tag = "" if ":" in path.rpartition("/")[2] else f":{_DEFAULT_TAG}"
    return f"{registry}/{path}{tag}"


def size_of(names: Iterable[str], sizes_bytes: dict[str, int]) -> int | None:
    """Find an image's size by the first of its names that a node knows.

    Parameters
    ----------
    names : iterable of str
        Any spellings of the image, the most certain first; empty ones are passed over.
    sizes_bytes : dict
        Size by normal name, from the node's list.

    Returns
    -------
    int or None
        Bytes; None where the node's list does not hold the image. (By default a kubelet reports 50 images at most.)
    """
    for name in names:
        size = sizes_bytes.get(normal_name(name)) if name else None
        if size is not None:
            return size
    return None
