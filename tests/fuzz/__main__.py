"""``python -m tests.fuzz``: damage and read for a time; the first fault of each target is shown with its seed."""

from __future__ import annotations

import argparse
import logging
import random
import resource
import sys
import time
import traceback
import warnings

from tests.fuzz.targets import TARGETS, attempt


def main() -> int:
    """Run each target for a time; 1 if any had a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU time for each target")
    parser.add_argument("--seed", type=int, help="do this one attempt only, as a fault told it")
    parser.add_argument("--most-mb", type=int, default=4000, help="address space that it may have")
    options = parser.parse_args()
    if wrong := set(options.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(wrong))}")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error", RuntimeWarning)
    resource.setrlimit(resource.RLIMIT_AS, (options.most_mb * 2**20, options.most_mb * 2**20))
    faults = [name for name in options.targets or TARGETS if not _run(name, options.seconds, options.seed)]
    return 1 if faults else 0


def _run(name: str, seconds: float, seed: int | None) -> bool:
    until_s, done = time.process_time() + seconds, 0
    while seed is not None or time.process_time() < until_s:
        number = random.randrange(2**40) if seed is None else seed
        try:
            attempt(name, number)
        except Exception:  # noqa: BLE001
            print(f"{name}: a fault after {done} attempts; again by: python -m tests.fuzz {name} --seed {number}")
            traceback.print_exc(file=sys.stdout)
            return False
        done += 1
        if seed is not None:
            break
    print(f"{name}: {done} attempts without a fault", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
