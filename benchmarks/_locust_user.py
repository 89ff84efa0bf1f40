"""Locust's own Milvus user, run by the Python of an environment that has Locust.

It imports nothing of the app. `beside_locust` writes what it asks into a file, as JSON, and reads
the figures of the measured seconds from standard output.
"""

# The first import: it makes gevent's versions of sockets and threads the only ones.
from locust.contrib.milvus import MilvusUser  # isort: skip

import json
import sys
from pathlib import Path
from typing import Any

import gevent
from locust import constant, events, task
from locust.env import Environment

WARM_S = 2.0
ASKED: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


class Searcher(MilvusUser):  # type: ignore[misc, unused-ignore]
    """One of several users, each of which asks again as soon as it was answered."""

    wait_time = constant(0)
    asked = 0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment, uri=ASKED["uri"], collection_name=ASKED["collection"])

    @task
    def one_search(self) -> None:
        """Ask for the nearest rows of the next vector."""
        vector = ASKED["vectors"][Searcher.asked % len(ASKED["vectors"])]
        Searcher.asked += 1
        self.search(
            data=[vector],
            anns_field=ASKED["field"],
            limit=ASKED["k"],
            output_fields=ASKED["output_fields"],
        )


def main() -> None:
    """Let the users ask, and print the calls of the measured seconds."""
    # The user tells its calls to the events of the module, not to those of its environment.
    environment = Environment(user_classes=[Searcher], events=events)
    runner = environment.create_local_runner()
    runner.start(ASKED["users"], spawn_rate=ASKED["users"])
    gevent.sleep(WARM_S)
    total = environment.stats.total
    before, failed = total.num_requests, total.num_failures
    gevent.sleep(ASKED["seconds"])
    calls, failed = total.num_requests - before, total.num_failures - failed
    # A user in the middle of a call is not waited for: the process ends here.
    print(json.dumps({"calls": calls, "failed": failed}), flush=True)
    runner.quit()


if __name__ == "__main__":
    main()
