"""Work on Milvus in a worker, which opens for itself what this process has opened.

A worker that was ended leaves its collections, which are dropped from here.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.errors import ConnectionFailed, LabError
from lib.jobs import Job, Progress
from lib.milvus import collections as milvus_collections
from lib.milvus.connection import Connection, open_lease
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.milvus.lite import Lite, LiteGuest
from lib.milvus.territory import Territory
from lib.milvus.watchdog import Watchdog, waited_for
from lib.settings import Settings
from lib.workers import work
from lib.workers.work import Ended, Limits

# A call that makes a collection may still be on its way when its worker is ended.
ON_ITS_WAY_S = 1.0
# Milvus Lite may have to be started again before it can be cleaned.
CLEAN_S = 30.0
# What a worker asks for when Milvus Lite shall do something that no request of a client can.
_LITE = "lite"


@dataclass(frozen=True)
class Access:
    """What a worker needs to open a Milvus and a model; plain data that goes through a pipe.

    `settings` are those of `Settings.for_a_worker`. `scratch` begins the names of all collections
    that the worker makes. `lite` is the port and the process of the Milvus Lite that this process
    started, `visitor` the prefix and the end of the territory that may be written to.
    """

    settings: dict[str, Any] = field(repr=False)
    scratch: str = field(repr=False)
    dimension: int
    lite: tuple[int, int] | None
    visitor: tuple[str, float] | None = field(repr=False)

    @classmethod
    def of(cls, settings: Settings, connection: Connection, model: EmbeddingModel) -> "Access":
        """Give access to what `settings` opened here."""
        territory, lite, values = connection.territory, connection.lite, settings.for_a_worker()
        if lite is not None:
            values["milvus_uri"] = str(lite.path)  # a worker runs in another folder
        return cls(
            values,
            connection.scratch_name(),
            model.dimension,
            (lite.port, lite.pid) if lite is not None else None,
            (territory.prefix, territory.expires) if territory is not None else None,
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """What the host loads for its workers to embed."""
        return modules_of(self.settings["embedding_provider"])

    @contextlib.contextmanager
    def opened(
        self, lite: LiteGuest | None, *, retries: bool = True
    ) -> Iterator[tuple[Connection, EmbeddingModel, Settings]]:
        """Open connection and model; `lite` is the one that is named here.

        The connection is closed when nobody holds it any more. Without `retries` a remote provider
        is asked once.
        """
        settings, territory = Settings(**self.settings), None
        if self.visitor is not None:
            territory = Territory.to_measure(*self.visitor, self.scratch)
        model = open_model(settings, retries=retries, dimension=self.dimension)
        with open_lease(settings, territory, lite) as connection:
            yield connection, model, settings

    def guest(self, ask: Callable[[Any], Any]) -> LiteGuest | None:
        """Return the Milvus Lite as a worker sees it; `ask` reaches the process that started it."""
        if self.lite is None:
            return None
        path = Path(self.settings["milvus_uri"])
        return LiteGuest(path, *self.lite, lambda *call: ask((_LITE, *call)))


def guest_of(lite: Lite | None) -> LiteGuest | None:
    """Return a Milvus Lite as a second connection of the same process sees it."""
    if lite is None:
        return None
    return LiteGuest(lite.path, lite.port, lite.pid, lite.call, lambda: lite.mishap)


def modules_of(provider: str) -> tuple[str, ...]:
    """Return what the host loads for workers that embed with a provider."""
    if provider == "openai":
        return ("langchain_openai",)
    return ("lib.milvus.embeddings:load_bundled",)


def run(
    function: Callable[..., Any],
    access: Access,
    *arguments: Any,
    job: Job,
    connection: Connection,
    limits: Limits,
    kept: Callable[[], str],
    on_told: Callable[[Any], None] = lambda said: None,
    answers: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """Run a module's function in a worker with an access and return what it returns.

    The function gets `tell` and `ask`. A Progress that it tells becomes the job's, all else goes to
    `on_told`. It asks by a name and arguments, which go to one of the `answers`. A stop of the job
    ends the worker at once. `connection` gave the access; what the worker leaves in it is dropped.
    `kept` says of a worker that was ended what is kept.

    Raises what the function raises, JobCancelled, Ended, and ConnectionFailed when Milvus Lite
    ended beneath it.
    """
    watchdog = Watchdog(connection, kept="", asks=False)

    def check() -> None:
        job.check()
        try:
            watchdog.check()
        except ConnectionFailed as error:
            raise ConnectionFailed(error.what, kept=kept()) from error

    def hear(said: Any) -> None:
        if isinstance(said, Progress):
            job.progress = said
        else:
            on_told(said)

    def call_lite(*call: Any) -> Any:
        lite = connection.lite
        assert lite is not None
        return waited_for(lambda: lite.call(*call), check)

    known = {_LITE: call_lite, **(answers or {})}
    try:
        return work.run(
            function,
            access,
            *arguments,
            limits=limits,
            modules=access.modules,
            check=check,
            on_progress=hear,
            on_question=lambda question: known[question[0]](*question[1:]),
        )
    except BaseException as error:
        # A server that is gone answers nobody who would clean it.
        if connection.is_lite or not isinstance(error, ConnectionFailed):
            clean_after(access, connection)
        if not isinstance(error, Ended):
            raise
        ended = type(error)(f"{error.what}.", kept=kept(), next_step="Try it again.")
        raise ended from error


_cleaning: list[threading.Thread] = []


def clean_beside(clean: Callable[[], None]) -> None:
    """Clean in a thread; the process does not end before that is done."""
    thread = threading.Thread(target=clean, name="cleaning")
    _cleaning.append(thread)
    thread.start()


def wait_for_cleaning(timeout: float = 40.0) -> None:
    """Wait until what was stopped has dropped its collections; before closing the connection."""
    for thread in list(_cleaning):
        thread.join(timeout)
        if not thread.is_alive():
            _cleaning.remove(thread)


def clean_after(access: Access, connection: Connection) -> None:
    """Drop what a worker that was ended has left, in a thread; wait a moment for it."""
    held, looked = connection.lease(), threading.Event()

    def clean() -> None:
        deadline = time.monotonic() + CLEAN_S
        with held:
            while time.monotonic() < deadline:
                try:
                    left = _drop_all(access.scratch, connection)
                except LabError:  # Milvus Lite is being started again
                    left = True
                if looked.is_set() and not left:
                    return
                looked.set()
                time.sleep(ON_ITS_WAY_S)

    clean_beside(clean)
    looked.wait(ON_ITS_WAY_S / 2)


def _drop_all(prefix: str, connection: Connection) -> bool:
    """Drop the collections whose names begin so, and say whether there was one."""
    names = [name for name in connection.collection_names() if name.startswith(prefix)]
    for name in names:
        milvus_collections.drop(connection, name)
    return bool(names)
