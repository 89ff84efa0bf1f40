"""A workspace whose store is the search API over HTTP, in a process of its own."""

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import psutil

from lib.benchmark.access import Access
from lib.benchmark.service.client import Client, many_sockets
from lib.benchmark.service.neighbour import Neighbour
from lib.benchmark.workspace import SearchWorkspace, Workspace, WorkspaceAround
from lib.errors import LabError, OperationFailed
from lib.milvus.embeddings import note_embedding
from lib.results.plan import Plan
from lib.workers.service import Service
from lib.workers.work import Ended

WHAT = "The search service"
# What the service and the host that forks it may need, in MB.
NEEDS_MB = 400
SEEN_S = 5.0
# A user whose connection broke asks again after this moment.
AGAIN_S = 0.05
MEGABYTE = 1 << 20


class Refused(LabError):
    """The service answered that a search had failed; `what` is the kind of failure."""


class Served:
    """The search API as the users see it, in a process of its own, and their neighbour in another.

    `factory` is what `lib.workers.service.Service` takes: it returns a SearchService. Raises what
    the factory raises, OperationFailed where the computer has fewer MB free than `needs_mb`, Ended
    and NotStarted.
    """

    def __init__(
        self,
        factory: Callable[..., Any],
        *arguments: Any,
        modules: tuple[str, ...] = (),
        needs_mb: int = NEEDS_MB,
    ) -> None:
        free_mb = psutil.virtual_memory().available // MEGABYTE
        if free_mb < needs_mb:
            raise OperationFailed(
                f"{WHAT} needs about {needs_mb:,} MB of memory, and {free_mb:,} MB are free.",
                kept="Nothing was measured.",
                next_step="Close something else, then try again.",
            )
        self._ends: list[str] = []
        many_sockets()
        self._service = self._started(WHAT, factory, *arguments, modules=modules)
        try:
            self._port = int(self._service.call("port"))
            self.neighbour = self._started("The service's neighbour", Neighbour, self._port)
        except BaseException:
            self._service.kill()
            raise
        self.pids = self._service.pid, self.neighbour.pid

    def _started(self, what: str, factory: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        def note_end(number: int) -> None:
            by = f" ({signal.Signals(number).name})" if number > 0 else ""
            self._ends.append(f"{what} ended{by}.")

        return Service(factory, *arguments, what=what, on_end=note_end, **more)

    def client(self) -> Client:
        """Return connections to it."""
        return Client(self._port)

    async def ask(self, client: Client, style: str, query: str, k: int) -> tuple[str, ...]:
        """Search in one style, and return the keys that came back.

        Raises Refused for a search that failed, and OSError where nobody answers.
        """
        try:
            _, body = await client.get(f"/{style}?{urlencode({'q': query, 'k': k})}")
        except OSError:
            await asyncio.sleep(AGAIN_S)
            raise
        answer = json.loads(body)
        if "error" in answer:
            raise Refused(answer["error"])
        note_embedding(answer["embed_s"])
        return tuple(answer["keys"])

    def check(self) -> None:
        """Raise Ended when its process or the neighbour's has ended."""
        if self._ends:
            raise Ended(
                self._ends[0],
                kept="The trials finished before are kept.",
                next_step="Run it again.",
            )

    def begin(self, seed: int) -> None:
        """Begin a trial."""
        self.check()
        self._service.call("begin", seed, timeout=SEEN_S)

    def seen(self) -> dict[str, Any]:
        """Return what the service took since the trial began, as fields of a trial."""
        self.check()
        seen: dict[str, Any] = self._service.call("seen", timeout=SEEN_S)
        return seen

    def close(self) -> None:
        """End its process and the neighbour's at once, whatever holds its loop."""
        self._service.kill()
        self.neighbour.kill()


class ServedWorkspace(WorkspaceAround):
    """A workspace that is searched through the API; all else is that of the one inside."""

    def __init__(self, inner: Workspace, served: Served, seed: int) -> None:
        super().__init__(inner)
        self._served = served
        self._seed = seed
        self.store = served
        self.processes = served.pids

    def begin_repeat(self, repeat: int) -> None:
        """Give all styles of one repeat the same random waits, in the service's process."""
        self._served.begin(self._seed + repeat)

    def observed(self) -> dict[str, Any]:
        """Return what the service took in the trial that has just ended."""
        return self._served.seen()

    def close(self) -> None:
        """End the service, then close the workspace inside."""
        self._served.close()
        super().close()


def serve(inner: SearchWorkspace, plan: Plan, access: Access) -> ServedWorkspace:
    """Start the service of a workspace's collection, which `access` opens in its process."""
    # The web server is loaded by who measures a service.
    from lib.benchmark.service import api

    wait = (plan.embedding_latency_ms, plan.embedding_jitter_ms)
    served = Served(
        api.open_search,
        access,
        inner.name,
        inner.inputs.key_field,
        wait,
        modules=access.modules,
    )
    return ServedWorkspace(inner, served, plan.seed)
