"""Which texts name an image: a runtime that lost the name tells the digest, an id, or that there is none."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_RUNTIME_PREFIX: Final = re.compile(r"[a-z-]+://")
#: A digest by itself, also where a runtime has put its default registry before it.
_DIGEST: Final = re.compile(r"(?:.*/)?(?:sha(?:1|224|256|384|512)|md5|blake[23]\w*)(?::.*|[_-]+[0-9a-f]{12,})?")
#: An id, short as ``docker ps`` shows it or whole; either may have registry and tag put around it.
_ID: Final = re.compile(r"(?:.*/)?[0-9a-f]{12,64}(?::.*)?")
#: What tools write where there is no name.
_NO_NAME: Final = re.compile(r"|-|none|null|nil|nan|n/a|unknown|<[^>]*>(?::.*)?")


# Thousands of containers run a few dozen images.
@lru_cache(maxsize=4096)
def names_image(text: str) -> bool:
    """Tell whether a text names an image, be it with tag and digest or without.

    Examples
    --------
    >>> [names_image(text) for text in ("mysql:8.4@sha256:0123", "sha256:7614ae9453d1d87e", "<none>")]
    [True, False, False]
    """
    name = _RUNTIME_PREFIX.sub("", text.strip().lower(), count=1).partition("@")[0]
    return not any(form.fullmatch(name) for form in (_DIGEST, _ID, _NO_NAME))
