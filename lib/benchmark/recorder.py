"""Records one trial while it runs: one slot a call, written to by whoever makes the call."""

import asyncio
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from lib.errors import LabError
from lib.milvus.embeddings import EmbeddingClock, embedding_clock
from lib.milvus.failures import milvus_reason, refusal
from lib.milvus.operations import Operation, result_keys
from lib.results.trials import Call

RETURNED_FALSE = "reported failure (returned False)"
NO_EFFECT = "reported success without effect"
MAX_KIND_CHARS = 160
MOST_HOLDS = 200  # that a trial keeps


@dataclass(eq=False, repr=False)
class Recorder:
    """The calls of one trial.

    The same object serves a loop, threads and coroutines: every call writes to its own index, and
    the embedding time comes from a context variable, so concurrent calls do not mix.

    With `seconds` the trial is timed: `calls` is then only the most that it may make.
    """

    operation: Operation
    store: Any
    calls: int
    arguments: Callable[[int], dict[str, Any]]
    _: KW_ONLY
    count: int
    rows_a_call: int = 1
    in_one_call: bool = False  # whether the only call's result holds the answers to all questions
    concurrency: int | None = None
    seconds: float = 0.0
    rate_per_s: float | None = None
    retries: int = 0
    seed: int = 0
    # What is kept of a result. Ten thousand lists of documents would take much memory.
    keep: Callable[[Any], Any] = result_keys
    clock: Callable[[], float] = time.perf_counter

    def __post_init__(self) -> None:
        # Looked up once: at a millisecond a call, every microsecond of ours would be measured.
        self._method: Any = getattr(self.store, self.operation.name, None)
        self._async_method: Any = getattr(self.store, self.operation.async_name, None)
        self.refused: Counter[str] = Counter()
        # For each call that asked a remote service: requests, those refused, seconds waited.
        self._requests: list[tuple[int, int, float]] = []
        self.stopped = False
        self.results: list[Any] = [None] * self.calls
        self.loop_lags_s: list[float] = []
        self.holds: list[tuple[float, float]] = []  # from when to when the loop was held
        self.finished: list[int] = []  # in the order they ended; its length is the progress
        # The requests of a service's neighbour: due, start, end, and the kind of failure or None.
        self.beats: list[tuple[float, float, float, str | None]] = []
        self._due: dict[int, float] = {}
        self._started: list[float | None] = [None] * self.calls
        self._ended = [0.0] * self.calls
        self._embedded = [0.0] * self.calls
        self._errors: dict[int, str] = {}

    def turns(self) -> "Turns":
        """Return the indexes of the calls to make. In a timed trial they end with its time."""
        return Turns(self)

    def call_of(self, row: int) -> int:
        """Return the index of the call that a row or question was part of."""
        return row // self.rows_a_call

    def trim(self) -> None:
        """Forget the places of calls that a timed trial had no time for."""
        made = len(self.finished)
        for slots in (self.results, self._started, self._ended, self._embedded):
            del slots[made:]
        self.calls = self.count = made

    def call(self, i: int) -> None:
        """Make the i-th call through the sync method."""
        self.measure(i, lambda: self._method(**self.arguments(i)))

    def measure(self, i: int, invoke: Callable[[], Any]) -> None:
        """Make a sync call and record its times and what became of it."""
        if self.stopped:
            return
        embedding = embedding_clock()
        self._started[i] = self.clock()
        try:
            result = invoke()
        except Exception as error:  # noqa: BLE001  # whatever fails is counted by its kind
            result = error
        self._end(i, result, embedding)

    async def acall(self, i: int, due: float | None = None) -> None:
        """Make the i-th call through the async method; `due` is when it should have started."""
        if due is not None:
            self._due[i] = due
        await self.ameasure(i, lambda: self._async_method(**self.arguments(i)))

    async def _again(self, invoke: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call again when it is refused, after the wait that the refusal asks for."""
        for attempt in range(self.retries):
            try:
                return await invoke()
            except Exception as error:
                turned_away = refusal(error)
                if turned_away is None:
                    raise
                self.refused[error_kind(error)] += 1
                await asyncio.sleep(turned_away.wait_s(attempt))
        return await invoke()

    async def ameasure(self, i: int, invoke: Callable[[], Awaitable[Any]]) -> None:
        """Make an async call and record its times and what became of it."""
        if self.stopped:
            return
        embedding = embedding_clock()
        self._started[i] = self.clock()
        try:
            result = await (self._again(invoke) if self.retries else invoke())
        except Exception as error:  # noqa: BLE001  # whatever fails is counted by its kind
            result = error
        self._end(i, result, embedding)

    def _end(self, i: int, result: Any, embedding: EmbeddingClock) -> None:
        """Note that a call has ended now, with a result or with the exception that it raised."""
        self._ended[i] = self.clock()
        self._embedded[i] = embedding.seconds
        if embedding.sent:
            self._requests.append((embedding.sent, embedding.refused, embedding.waited_s))
        if isinstance(result, Exception):
            self._errors[i] = kind = error_kind(result)
            if refusal(result) is not None:
                self.refused[kind] += 1
        elif result is False:
            self._errors[i] = RETURNED_FALSE
        else:
            self.results[i] = self.keep(result)
        self.finished.append(i)

    @property
    def wall_s(self) -> float:
        """Seconds from the first call's start to the last call's end."""
        started = [start for start in self._started if start is not None]
        return max(self._ended) - min(started) if started else 0.0

    def provider(self) -> dict[str, Any]:
        """Return a trial's fields about the embedding service: a refusal may hide in its client."""
        return {
            "provider_sent": sum(sent for sent, _, _ in self._requests),
            "provider_refused": sum(refused for _, refused, _ in self._requests),
            "provider_waited_s": sum(waited_s for _, _, waited_s in self._requests),
        }

    @property
    def raised(self) -> frozenset[int]:
        """The indexes of the calls that raised or reported failure."""
        return frozenset(self._errors)

    def finish(self, wrong: Mapping[int, str]) -> tuple[Call, ...]:
        """Return the calls; `wrong` names those whose effect or result is not what was asked."""
        errors = {**wrong, **self._errors}
        zero = self._zero()
        return tuple(
            Call(
                start_s=(self._started[i] or zero) - zero,
                end_s=max(self._ended[i] - zero, 0.0),
                embed_s=self._embedded[i],
                ok=i not in errors,
                error=errors.get(i),
                due_s=self._due[i] - zero if i in self._due else None,
            )
            for i in range(self.calls)
        )

    def heartbeat(self) -> tuple[Call, ...]:
        """Return the requests of a service's neighbour, in the order in which they were due."""
        zero = self._zero()
        return tuple(
            Call(
                start_s=max(start - zero, 0.0),
                end_s=max(end - zero, 0.0),
                embed_s=0.0,
                ok=error is None,
                error=error,
                due_s=max(due - zero, 0.0),
            )
            for due, start, end, error in sorted(self.beats)
        )

    def held_s(self) -> tuple[tuple[float, float], ...]:
        """Return from when to when the loop was held while calls were made, the longest few."""
        zero, longest = self._zero(), sorted(self.holds, key=lambda each: each[0] - each[1])
        spans = sorted((max(start - zero, 0.0), end - zero) for start, end in longest[:MOST_HOLDS])
        return tuple(span for span in spans if span[1] > span[0])

    def _zero(self) -> float:
        """Return the moment from which a trial's times count."""
        begun = [start for start in self._started if start is not None]
        return min([*begun, *self._due.values()], default=0.0)


class Turns(Iterator[int]):
    """The indexes of a trial's calls, one after another; several threads may take from it.

    The time of a timed trial begins with the first of them.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._indexes = iter(range(recorder.calls))
        self._lock = threading.Lock()
        self._end = math.inf
        self.ended = False

    def __next__(self) -> int:
        """Return the next index."""
        recorder = self._recorder
        with self._lock:
            if recorder.seconds:
                now = recorder.clock()
                if math.isinf(self._end):
                    self._end = now + recorder.seconds
                self.ended = self.ended or now >= self._end
            index = None if self.ended or recorder.stopped else next(self._indexes, None)
            self.ended = index is None
        if index is None:
            raise StopIteration
        return index


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
