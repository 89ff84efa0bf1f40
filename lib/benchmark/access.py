"""A measurement's worker, which opens for itself what this process has opened.

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
from lib.jobs import Job
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, open_lease
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.milvus.lite import Asked, Lite
from lib.milvus.territory import Territory
from lib.settings import Settings
from lib.workers import following
from lib.workers.watchdog import Watchdog, waited_for
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
            (lite.port, lite.served.pid) if lite is not None else None,
            (territory.prefix, territory.expires) if territory is not None else None,
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """What the host loads for its workers to embed."""
        return modules_of(self.settings["embedding_provider"])

    @contextlib.contextmanager
    def opened(
        self, lite: Lite | None, *, retries: bool = True
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

    def guest(self, ask: Callable[[Any], Any]) -> Lite | None:
        """Return the Milvus Lite as a worker sees it; `ask` reaches the process that started it."""
        if self.lite is None:
            return None
        port, pid = self.lite
        asked = Asked(pid, lambda *call: ask((_LITE, *call)))
        return Lite(Path(self.settings["milvus_uri"]), port, asked)


def modules_of(provider: str) -> tuple[str, ...]:
    """Return what the host loads for workers that embed with a provider."""
    if provider == "openai":
        return ("langchain_openai",)
    return ("lib.milvus.embeddings:load_bundled",)


def run_with_access(
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

    `connection` gave the access; what a worker that was ended leaves in it is dropped, and `kept`
    says what is kept. Otherwise like `following.run`. Raises what the function raises,
    JobCancelled, Ended, and ConnectionFailed when Milvus Lite ended beneath it.
    """
    watchdog = Watchdog(connection, kept="", asks=False)

    def check() -> None:
        job.check()
        try:
            watchdog.check()
        except ConnectionFailed as error:
            raise ConnectionFailed(error.what, kept=kept()) from error

    def call_lite(*call: Any) -> Any:
        lite = connection.lite
        assert lite is not None
        return waited_for(lambda: lite.call(*call), check)

    try:
        return following.run(
            function,
            access,
            *arguments,
            job=job,
            limits=limits,
            modules=access.modules,
            check=check,
            on_told=on_told,
            answers={_LITE: call_lite, **(answers or {})},
        )
    except BaseException as error:
        # A server that is gone answers nobody who would clean it.
        if connection.is_lite or not isinstance(error, ConnectionFailed):
            clean_after(access, connection)
        if not isinstance(error, Ended):
            raise
        ended = type(error)(f"{error.what}.", kept=kept(), next_step="Try it again.")
        raise ended from error


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

    following.clean_beside(clean)
    looked.wait(ON_ITS_WAY_S / 2)


def _drop_all(prefix: str, connection: Connection) -> bool:
    """Drop the collections whose names begin so, and say whether there was one."""
    names = [name for name in connection.collection_names() if name.startswith(prefix)]
    for name in names:
        milvus_collections.drop(connection, name)
    return bool(names)
