"""What a benchmark measures: calls, trials, runs. Plain data; everything else is derived.

The bounds in the types are checked where a file is read, never while a benchmark runs.
"""

from bisect import bisect
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Le, MaxLen, Predicate
from pydantic import BeforeValidator, FailFast

MAX_KINDS = 1_000


def _few(value: Any) -> Any:
    """Refuse an object of very many kinds before each of them is found wrong."""
    if isinstance(value, dict) and len(value) > MAX_KINDS:
        raise ValueError(f"more than {MAX_KINDS:,} kinds")
    return value


# A reader stops at the first wrong item: a million reasons would take gigabytes.
FEW = BeforeValidator(_few)
Name = Annotated[str, MaxLen(64), Predicate(str.isidentifier)]
Text = Annotated[str, MaxLen(10_000)]
ErrorKind = Annotated[str, MaxLen(400)]
Number = Annotated[float, Ge(0), Le(1e9)]
Amount = Annotated[int, Ge(0), Le(10**9)]
Count = Annotated[int, Ge(0), Le(100_000)]
Size = Annotated[int, Ge(1), Le(100_000)]
Share = Annotated[float, Ge(0), Le(1)]
Index = Annotated[int, Ge(-1), Le(100_000)]

# The most that one run may hold. A plan keeps to it, and a file that claims more is refused.
MAX_CELLS = 500
MAX_REPEATS = 100

# In the environment of a run that embedded over HTTP at an endpoint whose latency is known.
ENDPOINT_MS = "endpoint_latency_ms"
MAX_TIMED_CALLS = 100_000

# What a run tries: every cell of its plan, more and more calls a second, more and more at once.
# SERVICE asks a search API in several styles, with a neighbour beside its users.
# CHAIN asks a RAG chain as COMPARE asks a store.
COMPARE, RATE, OVERLOAD, SERVICE = "compare", "rate", "overload", "service"
CHAIN = "chain"

# A call of an open loop that starts later than this after it was due shows a busy client.
LATE_S = 0.01
# With more late calls than this the p99 would be the client's own.
MOST_LATE = 0.01


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation of one method. Times are seconds from the trial's start.

    `embed_s` is the part of the time that was spent in the embedding provider. `error` names the
    kind of failure; a call that failed is never part of a latency. `due_s` is when an open loop
    meant to start the call; None in a closed loop.
    """

    start_s: Number
    end_s: Number
    embed_s: Number
    ok: bool
    error: ErrorKind | None
    due_s: Number | None = None

    @property
    def latency_s(self) -> float:
        """Seconds from the moment the call was due, or from its start in a closed loop."""
        return self.end_s - (self.start_s if self.due_s is None else self.due_s)

    @property
    def is_late(self) -> bool:
        """Say whether the client started the call later than it was due."""
        return self.due_s is not None and self.start_s - self.due_s > LATE_S

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s

    @property
    def milvus_s(self) -> float:
        """Seconds not spent embedding: Milvus, the network and the client."""
        return self.duration_s - self.embed_s


class CellKey(NamedTuple):
    """What the repeated trials of one cell have in common.

    `count` is 0 for timed trials. `rate_per_s` is the rate at which an open loop or a token bucket
    starts calls, `batch` the rows of one call, `retries` how often a refused call is tried again.
    """

    operation: str
    strategy: str
    count: int  # type: ignore[assignment]  # nobody asks how often a value is in the tuple
    concurrency: int | None
    rate_per_s: float | None = None
    batch: int = 1
    retries: int = 0

    @classmethod
    def of(cls, thing: Any) -> "CellKey":
        """Return the cell of a planned cell, a trial or a summary."""
        return cls(*(getattr(thing, name) for name in cls._fields))


@dataclass(frozen=True)
class Trial:
    """One strategy issuing `count` calls of one operation.

    `concurrency` is the most calls in flight at once: 1 in a loop or for one batched call, None
    where nothing limits it. `wall_s` runs from the first call's start to the last call's end.
    One batched call stands for `count` of the others and is a single entry in `calls`.

    A timed trial makes calls for `seconds` instead; its `count` is 0. `refused` counts the
    attempts that a server or a provider turned away, per kind, those that were retried included.

    `provider_sent` counts the requests that the embedding service's client made, `provider_refused`
    those that it made again or gave up, after which `provider_waited_s` were waited, of all calls
    together.

    `rows_counted` is how many rows or questions of the trial came out as asked: rows found added,
    gone or changed afterwards, questions that got the right rows. Old files do not have it.
    `recall` is the mean share of the right rows in the answers, where an index that is not exact
    is judged by it.

    Of a service `concurrency` are its users and `pings` the requests of their neighbour, each due
    at a moment of its own; `served_threads` are the threads that made the sync calls,
    `served_mb` the memory of the service's process and `served_cpu_s` its processor time.

    Of a chain `first_token_s` are the seconds from each question to the first token of its answer,
    in the order in which the answers ended.

    `held_s` are the spans in which the event loop was held for 20 ms or more, in seconds from the
    first call, at most 200 of them; files from before have none.
    """

    operation: Name
    strategy: Name
    count: Count
    concurrency: Size | None
    repeat: Index
    order: Index
    warmup: bool
    wall_s: Number
    verified: bool
    verification: Text
    loop_lag_ms_max: Number | None
    loop_lag_ms_p99: Number | None
    cpu_s: Number
    calls: Annotated[tuple[Call, ...], FailFast()]
    seconds: Number = 0.0
    rate_per_s: Number | None = None
    batch: Size = 1
    retries: Amount = 0
    refused: Annotated[dict[Text, Amount], FEW] = field(default_factory=dict)
    rows_counted: Amount | None = None
    provider_sent: Amount = 0
    provider_refused: Amount = 0
    provider_waited_s: Number = 0.0
    recall: Share | None = None
    pings: Annotated[tuple[Call, ...], FailFast()] = ()
    served_threads: Amount = 0
    served_mb: Number = 0.0
    served_cpu_s: Number = 0.0
    first_token_s: Annotated[tuple[Number, ...], MaxLen(MAX_TIMED_CALLS), FailFast()] = ()
    held_s: Annotated[tuple[tuple[Number, Number], ...], MaxLen(200), FailFast()] = ()

    @property
    def cell(self) -> CellKey:
        """The cell that it repeats."""
        return CellKey.of(self)

    @property
    def is_timed(self) -> bool:
        """Say whether the trial lasted for a time instead of a number of calls."""
        return self.seconds > 0

    @property
    def rows(self) -> int:
        """How many rows or questions came out as asked.

        Without a count they are those of the calls that succeeded; the last call of a trial takes
        what is left over when its rows do not divide into batches.
        """
        if self.rows_counted is not None:
            return self.rows_counted
        done = sum(call.ok for call in self.calls)
        if self.is_timed or not self.calls:
            return done
        a_call = self.batch if self.batch > 1 else -(-self.count // len(self.calls))
        left_over = self.count - (len(self.calls) - 1) * a_call
        return done * a_call - self.calls[-1].ok * (a_call - left_over)

    @cached_property
    def late_starts(self) -> int:
        """How many calls of an open loop the client started late."""
        return sum(call.is_late for call in self.calls)

    @property
    def late_pings(self) -> int:
        """How many requests of a service's neighbour the client started late."""
        return sum(ping.is_late for ping in self.pings)

    @property
    def is_void(self) -> bool:
        """Say whether the client could not keep the rate, so that the latencies are its own."""
        late_pings = self.late_pings > MOST_LATE * len(self.pings)
        return late_pings or self.late_starts > MOST_LATE * len(self.calls)

    @cached_property
    def in_flight(self) -> float:
        """How many calls were in flight on average."""
        return sum(call.duration_s for call in self.calls) / self.wall_s if self.wall_s else 0.0

    @cached_property
    def throughput_per_s(self) -> float:
        """Rows or questions per second: those that came out as asked over the wall time.

        Of a timed closed loop it is the rate while as many calls are in flight as may be. A call
        counts there by the share of it that lies inside: of n callers whose calls take L seconds
        exactly n / L come out, wherever the edges fall.
        """
        begin_s, end_s = self._sustained() if self.is_timed and not self.rate_per_s else (0.0, 0.0)
        if begin_s >= end_s:
            return self.rows / self.wall_s if self.wall_s else 0.0
        done = 0.0
        for call in self.calls:
            inside_s = min(call.end_s, end_s) - max(call.start_s, begin_s)
            if call.ok and inside_s >= 0:
                done += inside_s / call.duration_s if call.duration_s else 1.0
        return done / (end_s - begin_s)

    def _sustained(self) -> tuple[float, float]:
        """Return from when to when as many calls are in flight as may be.

        That begins with the end of the first round, after the last caller has begun, and ends with
        the last start.
        """
        callers = self.concurrency or 1
        starts, ends = (sorted(map(attrgetter(name), self.calls)) for name in ("start_s", "end_s"))
        begun = enumerate(starts, 1)
        full_s = next((at for n, at in begun if n - bisect(ends, at) >= callers), 0.0)
        first_round = ends[bisect(ends, full_s) :][:callers]
        if len(first_round) < callers:
            return 0.0, 0.0
        return first_round[-1], min(starts[-1], self.seconds)

    @property
    def work_s(self) -> float:
        """What is compared: the wall time, or for a timed trial the seconds that a call takes."""
        if not self.is_timed:
            return self.wall_s
        return 1 / self.throughput_per_s if self.throughput_per_s else 0.0

    @property
    def counts(self) -> bool:
        """Say whether figures may rest on it: it was verified and is no warm-up."""
        return self.verified and not self.warmup


@dataclass(frozen=True)
class About:
    """What a run was made on, and how."""

    environment: dict[str, Any]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Run(About):
    """The trials of a plan with what they were made on. `note` says why a run is partial."""

    trials: tuple[Trial, ...] = ()
    partial: bool = False
    note: str = ""
    source: str = field(default="", compare=False)  # where it was read from, for the reader

    @property
    def experiment(self) -> str:
        """Which of the experiments it is; a file may name one that this version does not know."""
        return str(self.settings.get("experiment") or COMPARE)
