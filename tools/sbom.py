"""Write the bill of materials of an image, CycloneDX, from the lock that its packages are installed by.

Usage: python -m tools.sbom requirements-watcher.lock [FILE]      (without FILE to the output)

It lists Python packages; those of the base image are the base's. Digests stand in the lock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from podlab import __version__
from podlab.model.manifest import make_bom


def describe_image(lock: Path) -> dict[str, object]:
    """Describe the packages of a lock, with those that only some platforms need."""
    content = lock.read_text()
    components: list[dict[str, object]] = []
    for name, version, marker in re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?: ; ([^\\\n]+?))?\s*\\?$", content, re.MULTILINE
    ):
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
        found: dict[str, object] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        if marker:
            found["scope"] = "optional"
            found["properties"] = [{"name": "podlab:marker", "value": marker}]
        components.append(found)
    part = lock.stem.removeprefix("requirements-")
    image = {"type": "container", "bom-ref": f"image:{part}", "name": f"podlab/{part}", "version": __version__}
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return make_bom(image, components, made_at=made_at, digest=hashlib.sha256(content.encode()).hexdigest())


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(prog="python -m tools.sbom", description="The bill of materials of an image.")
    parser.add_argument("lock", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    options = parser.parse_args()
    text = json.dumps(describe_image(options.lock), indent=1) + "\n"
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
