"""Write the golden files anew: ``python -m tests.contract --write``; with words behind, only tests that match them."""

from __future__ import annotations

import argparse
import os
import sys

import pytest

from tests.contract.golden import HERE, WRITE_VARIABLE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=(__doc__ or "").strip())
    parser.add_argument("--write", action="store_true", help="write the golden files instead of comparing")
    parser.add_argument("only", nargs="?", help="expression of pytest -k")
    options = parser.parse_args()
    if options.write:
        os.environ[WRITE_VARIABLE] = "1"
    words = [str(HERE), "-q", "-p", "no:cacheprovider"]
    return int(pytest.main(words + (["-k", options.only] if options.only else [])))


if __name__ == "__main__":
    sys.exit(main())
