"""python -m tests.storm --minutes 5 --seed 1: servers of its own, a storm, and its table."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--no-measure", dest="measure", action="store_false")
    given = parser.parse_args()
    from tests.bench import place

    print(f"Storm of {given.minutes:g} minutes, seed {given.seed}", flush=True)
    with place.placet() as servers:
        from tests.harness import World
        from tests.storm import takeover
        from tests.storm.storm import storm

        logging.disable(logging.WARNING)
        with World(servers) as world:
            measured = takeover.measure(world, servers) if given.measure else {}
        with World(servers) as world:
            report = storm(
                world,
                servers,
                seconds=given.minutes * 60,
                runs=given.runs,
                seed=given.seed,
                tell=lambda line: print(f"{time.strftime('%X')}  {line}", flush=True),
            )
            report.figures |= measured
            print(report.show())
            if report.faults:
                _keep_logs()
    return 1 if report.faults else 0


def _keep_logs() -> None:
    import shutil
    import tempfile

    from tests.zoo import world_dir

    kept = tempfile.mkdtemp(prefix="placet-storm-")
    shutil.copytree(world_dir(), kept, dirs_exist_ok=True)
    print(f"The logs of all processes, and the world's books, are in {kept}.")


if __name__ == "__main__":
    sys.exit(main())
