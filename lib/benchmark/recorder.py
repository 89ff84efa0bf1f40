"""Records one trial while it runs: one slot a call, written to by whoever makes the call."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lib.benchmark.trials import Call
from lib.errors import LabError
from lib.milvus.embeddings import new_embedding_clock
from lib.milvus.failures import milvus_reason
from lib.milvus.operations import Operation, result_keys

RETURNED_FALSE = "reported failure (returned False)"
NO_EFFECT = "reported success without effect"
OTHER_ROWS = "returned other rows than expected"
MAX_KIND_CHARS = 160


class Recorder:
    """The calls of one trial.

    The same object serves a loop, threads and coroutines: every call writes to its own index, and
    the embedding time comes from a context variable, so concurrent calls do not mix.
    """

    def __init__(
        self,
        operation: Operation,
        store: Any,
        calls: int,
        arguments: Callable[[int], dict[str, Any]],
        *,
        count: int | None = None,
        concurrency: int | None = None,
        keep: Callable[[Any], Any] = result_keys,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.operation = operation
        self.store = store
        # Looked up once: at a millisecond a call, every microsecond of ours would be measured.
        self._method: Any = getattr(store, operation.name, None)
        self._async_method: Any = getattr(store, operation.async_name, None)
        self.calls = calls
        self.count = calls if count is None else count
        self.concurrency = concurrency
        self.arguments = arguments
        self.stopped = False
        self.results: list[Any] = [None] * calls
        self.loop_lags_s: list[float] = []
        self.finished: list[int] = []  # in the order they ended; its length is the progress
        self._clock = clock
        self._started: list[float | None] = [None] * calls
        self._ended = [0.0] * calls
        self._embedded = [0.0] * calls
        self._errors: dict[int, str] = {}
        # Ten thousand lists of documents would be kept for their keys alone.
        self._keep = keep

    def call(self, i: int) -> None:
        """Make the i-th call through the sync method."""
        self.measure(i, lambda: self._method(**self.arguments(i)))

    def measure(self, i: int, invoke: Callable[[], Any]) -> None:
        """Make a sync call and record its times and what became of it."""
        if self.stopped:
            return
        embedding = new_embedding_clock()
        self._started[i] = self._clock()
        try:
            result = invoke()
        except Exception as error:  # noqa: BLE001  # whatever fails is counted by its kind
            self._ended[i] = self._clock()
            self._errors[i] = error_kind(error)
        else:
            self._ended[i] = self._clock()
            self._take(i, result)
        self._embedded[i] = embedding.seconds
        self.finished.append(i)

    async def acall(self, i: int) -> None:
        """Make the i-th call through the async method."""
        await self.ameasure(i, lambda: self._async_method(**self.arguments(i)))

    async def ameasure(self, i: int, invoke: Callable[[], Awaitable[Any]]) -> None:
        """Make an async call and record its times and what became of it."""
        if self.stopped:
            return
        embedding = new_embedding_clock()
        self._started[i] = self._clock()
        try:
            result = await invoke()
        except Exception as error:  # noqa: BLE001  # whatever fails is counted by its kind
            self._ended[i] = self._clock()
            self._errors[i] = error_kind(error)
        else:
            self._ended[i] = self._clock()
            self._take(i, result)
        self._embedded[i] = embedding.seconds
        self.finished.append(i)

    def _take(self, i: int, result: Any) -> None:
        if result is False:
            self._errors[i] = RETURNED_FALSE
        else:
            self.results[i] = self._keep(result)

    @property
    def wall_s(self) -> float:
        """Seconds from the first call's start to the last call's end."""
        started = [start for start in self._started if start is not None]
        return max(self._ended) - min(started) if started else 0.0

    @property
    def raised(self) -> frozenset[int]:
        """The indexes of the calls that raised or reported failure."""
        return frozenset(self._errors)

    def finish(self, wrong: Mapping[int, str]) -> tuple[Call, ...]:
        """Return the calls; `wrong` names those whose effect or result is not what was asked."""
        errors = {**wrong, **self._errors}
        zero = min((start for start in self._started if start is not None), default=0.0)
        return tuple(
            Call(
                start_s=(self._started[i] or zero) - zero,
                end_s=max(self._ended[i] - zero, 0.0),
                embed_s=self._embedded[i],
                ok=i not in errors,
                error=errors.get(i),
            )
            for i in range(self.calls)
        )


_VARYING = re.compile(r"\b[0-9a-f]*\d[0-9a-f]*\b|\d+", re.IGNORECASE)
_ADDRESS = re.compile(r"\w+://\S+|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?|(?<!\w)/[\w.-]+(/[\w.-]+)+")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def error_kind(error: BaseException) -> str:
    """Return a short name under which failures of one kind are counted.

    Numbers, names in quotes and addresses are left out, so that a thousand failures of one kind
    count as one kind and nothing private reaches a file.
    """
    if isinstance(error, LabError):
        return error.what[:MAX_KIND_CHARS]
    code = getattr(error, "code", None)
    prefix = f"code {code}: " if isinstance(code, int) and code > 0 else ""
    reason = _QUOTED.sub("…", _ADDRESS.sub("…", milvus_reason(error)))
    reason = _VARYING.sub("…", reason)
    return f"{type(error).__name__}: {prefix}{reason}"[:MAX_KIND_CHARS]
