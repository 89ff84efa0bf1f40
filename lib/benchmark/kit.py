"""The recording kit: the runs that ship with the app, made on another Milvus, in one file.

    python -m lib.benchmark record --uri http://milvus:19530 --output recorded.json-seq
    docker compose run --rm -T app python -m lib.benchmark record --output - > recorded.json-seq

The file is a JSON text sequence (RFC 7464) of run files, and is imported as one. Nothing overloads
the Milvus, and what ships over ten starts of a server is repeated at one.
"""

import contextlib
import dataclasses
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.benchmark.endpoint import START_TIMEOUT_S, served
from lib.benchmark.interruption import Interruption
from lib.benchmark.options import record_parser
from lib.errors import InvalidInput
from lib.results import run_file
from lib.results.catalogue import OPERATIONS
from lib.results.trials import ENDPOINT_MS, Run

REPEATED = ",".join(name for name in OPERATIONS if name != "from_texts")
# The audit has the sync call in coroutines and in `to_thread`. A page of all ways times fourteen
# operations is slow to draw.
COMPARED = "sync_loop,thread_pool,gather,gather_limited,one_batch"
ALL = f"--operations {REPEATED} --strategies {COMPARED} --counts 100 --repeats 5"
CREATION = (
    "--operations from_texts --strategies sync_loop,thread_pool,gather,gather_limited "
    "--counts 20 --repeats 3"
)
REPEATS = 5  # at the one start that there is, of what ships over several


@dataclass(frozen=True)
class Recording:
    """What to run: words for the command, and how often on a server that was started anew."""

    words: str
    starts: int = 1
    lite: bool = False
    endpoint_ms: float | None = None  # embeds by OpenAI's client over HTTP, answered after so long
    varies: bool = False  # its waits are log-normal, with `endpoint_ms` as the median
    overloads: bool = False  # not done to a Milvus that others may use


# What an application gets: the provider's own client, here with an endpoint of a known latency.
THROUGH_CLIENT = (
    "--operations similarity_search --strategies sync_loop,thread_pool,gather,one_batch "
    "--concurrency 100 --counts 100 --repeats 5 --embedding openai"
)
RECORDINGS = {
    **{
        f"client-server-{ms}ms": Recording(THROUGH_CLIENT, endpoint_ms=ms)
        for ms in (0, 50, 200, 450)
    },
    # The tutorial's experiments through the client.
    "openai-tutorial-server-450ms": Recording(
        "--preset tutorial --repeats 3 --embedding openai", endpoint_ms=450
    ),
    # As many requests take: half of them 450 ms, one of a hundred 1.5 s.
    "openai-varied-server-450ms": Recording(
        THROUGH_CLIENT.replace("--repeats 5", "--repeats 3"), endpoint_ms=450, varies=True
    ),
    "tutorial-server-450ms": Recording(
        "--preset tutorial --repeats 1 --embedding-latency-ms 450", starts=10
    ),
    "tutorial-server": Recording("--preset tutorial --repeats 1", starts=10),
    "delete-bounded-server": Recording(
        "--operations delete --delete-by id --delete-consistency Bounded --counts 10,100 "
        "--strategies sync_loop,thread_pool,gather,gather_limited --repeats 7"
    ),
    "quick-server": Recording("--preset quick"),
    "batches-server": Recording("--preset batches --repeats 7"),
    "sweep-server": Recording("--preset sweep --repeats 7"),
    "rate-server": Recording("--preset rate"),
    "overload-server": Recording(
        "--preset overload --counts 500,1000,2000,4000 --repeats 1 --yes", overloads=True
    ),
    # 500 requests of the neighbour make a p99.
    "service-server": Recording("--preset service --seconds 26 --repeats 5"),
    "service-users-server": Recording(
        "--preset service --seconds 5 --repeats 1 --concurrency 10,50,200"
    ),
    "chain-server": Recording("--preset chain --repeats 5"),
    "bulk-server": Recording("--preset bulk --repeats 5"),
    "searches-server": Recording("--preset searches --repeats 5"),
    "all-server": Recording(ALL),
    "from-texts-server": Recording(CREATION),
    "tutorial-lite-50ms": Recording(
        "--preset tutorial --repeats 5 --embedding-latency-ms 50", lite=True
    ),
    "all-lite": Recording(ALL, lite=True),
    "from-texts-lite": Recording(CREATION, lite=True),
}
STDOUT = "-"
VARIED_P99 = 1.5 / 0.45  # of waits that vary, over their median
STANDARD_P99 = 2.326  # of a normal distribution, in standard deviations
INTERRUPTED = 128  # and above: the command's exit codes when a signal ended it


def record(
    words: Sequence[str],
    interruption: Interruption,
    benchmark: Callable[..., int],
    say: Callable[[str], None],
) -> int:
    """Make the runs one after another with the command `benchmark`, and write them to one file.

    What was made before an interruption or a failure is kept. Returns the exit code.
    """
    given = record_parser().parse_args(words)
    known = {name: each for name, each in RECORDINGS.items() if not (each.lite or each.overloads)}
    wanted = given.only.split(",") if given.only else list(known)
    if unknown := sorted(set(wanted) - set(known)):
        raise InvalidInput(
            f"There is no recording named {', '.join(unknown)}.",
            next_step=f"Known: {', '.join(known)}.",
        )
    codes, made = [], []
    where = ["--uri", given.uri] if given.uri else []
    where += ["--token", given.token] if given.token else []
    for place, name in enumerate(wanted, 1):
        say(f"{name}, {place} of {len(wanted)}")
        with tempfile.TemporaryDirectory() as folder, endpoint(known[name]):
            target = Path(folder, f"{name}.json")
            repeats = [] if known[name].starts == 1 else ["--repeats", str(REPEATS)]
            asked = [*known[name].words.split(), *repeats, *where, "--note", given.note]
            codes.append(benchmark([*asked, "--output", str(target)], interruption=interruption))
            if target.exists():
                run = told(run_file.read(target), known[name])
                made.append(run_file.to_json(run).encode())
                if given.output != STDOUT:
                    run_file.replace(Path(given.output), run_file.sequence(made))
        if codes[-1] >= INTERRUPTED:
            break
    if given.output == STDOUT:
        sys.stdout.buffer.write(run_file.sequence(made))
        sys.stdout.flush()
    where_to = "written out" if given.output == STDOUT else f"in {given.output}"
    say(f"{len(made)} of {len(wanted)} runs are {where_to}.")
    return max(codes)


def told(run: Run, recording: Recording) -> Run:
    """Return the run with what it does not know: how long the endpoint takes."""
    if recording.endpoint_ms is None:
        return run
    environment = {**run.environment, ENDPOINT_MS: recording.endpoint_ms}
    if recording.varies:
        said = (
            f"The endpoint's waits are log-normal: half of them below {recording.endpoint_ms:g} "
            f"ms, one of a hundred above {VARIED_P99 * recording.endpoint_ms:,.0f} ms."
        )
        environment["notes"] = [*environment.get("notes", []), said]
    return dataclasses.replace(run, environment=environment)


@contextlib.contextmanager
def endpoint(recording: Recording) -> Iterator[None]:
    """Serve embeddings in a process of their own, and point the command's settings there."""
    if recording.endpoint_ms is None:
        yield
        return
    spread = math.log(VARIED_P99) / STANDARD_P99 if recording.varies else 0.0
    with served(latency_s=recording.endpoint_ms / 1000, spread=spread) as service:
        os.environ |= {
            "OPENAI_BASE_URL": service.call("where", timeout=START_TIMEOUT_S),
            "OPENAI_API_KEY": "any",
            "OPENAI_EMBEDDING_MODEL": "the-bundled-model",
        }
        yield
