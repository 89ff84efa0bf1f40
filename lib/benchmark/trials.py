"""What a benchmark measures: calls, trials, runs. Plain data; everything else is derived.

The bounds in the types are checked where a file is read, never while a benchmark runs.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Le, MaxLen, Predicate

Name = Annotated[str, MaxLen(64), Predicate(str.isidentifier)]
Text = Annotated[str, MaxLen(10_000)]
Number = Annotated[float, Ge(0), Le(1e9)]
Size = Annotated[int, Ge(1), Le(10**9)]
Index = Annotated[int, Ge(-1), Le(10**9)]


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation of one method. Times are seconds from the trial's start.

    `embed_s` is the part of the time that was spent in the embedding provider. `error` names the
    kind of failure; a call that failed is never part of a latency.
    """

    start_s: Number
    end_s: Number
    embed_s: Number
    ok: bool
    error: Text | None

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s

    @property
    def milvus_s(self) -> float:
        """Seconds not spent embedding: Milvus, the network and the client."""
        return self.duration_s - self.embed_s


class CellKey(NamedTuple):
    """What the repeated trials of one cell have in common."""

    operation: str
    strategy: str
    count: int  # type: ignore[assignment]  # nobody asks how often a value is in the tuple
    concurrency: int | None


@dataclass(frozen=True)
class Trial:
    """One strategy issuing `count` calls of one operation.

    `concurrency` is the most calls in flight at once: 1 in a loop or for one batched call, None
    where nothing limits it. `wall_s` runs from the first call's start to the last call's end.
    One batched call stands for `count` of the others and is a single entry in `calls`.
    """

    operation: Name
    strategy: Name
    count: Size
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
    calls: tuple[Call, ...]

    @property
    def cell(self) -> CellKey:
        """The cell that it repeats."""
        return CellKey(self.operation, self.strategy, self.count, self.concurrency)

    @property
    def counts(self) -> bool:
        """Say whether figures may rest on it: it was verified and is no warm-up."""
        return self.verified and not self.warmup


@dataclass(frozen=True)
class Run:
    """The trials of a plan with what they were made on. `note` says why a run is partial."""

    environment: dict[str, Any]
    settings: dict[str, Any]
    trials: tuple[Trial, ...] = ()
    partial: bool = False
    note: str = ""
    source: str = field(default="", compare=False)  # where it was read from, for the reader
