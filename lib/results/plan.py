"""What a benchmark runs: operations, strategies, counts, repeats."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from lib.errors import InvalidInput, LabError
from lib.results.catalogue import (
    INDEX_TYPES,
    OPERATIONS,
    PRIMARY_FIELD,
    PROVIDERS,
    SERVED_WAYS,
    STRATEGIES,
    Effect,
)
from lib.results.chain import ANSWER_S
from lib.results.ranking import DEFAULT_FETCH_K, DEFAULT_LAMBDA, check_ranking
from lib.results.summaries import cell_label, cell_text
from lib.results.trials import (
    CHAIN,
    COMPARE,
    MAX_CELLS,
    MAX_REPEATS,
    MAX_TIMED_CALLS,
    OVERLOAD,
    RATE,
    SERVICE,
    CellKey,
)
from lib.settings import Settings
from lib.words import counted, shown_name

MAX_CONCURRENCY = 1024
MAX_WARMUP = 10
# So many numbers may be given for one thing, such as the limits of a sweep.
MAX_NUMBERS = 64
MAX_RETRIES = 10
MAX_RATE_PER_S = 20_000
# A shorter trial does not sustain its level; a longer one takes too much time.
MIN_SECONDS, MAX_SECONDS = 2.0, 60.0
MAX_TIMED_RUN_S = 1_800.0
# What a Milvus server takes in one gRPC message (proxy.grpc.serverMaxRecvSize).
MAX_MESSAGE_BYTES = 64 * 2**20
TEXT_BYTES = 200
MAX_LATENCY_MS = 60_000.0
# A run's file takes no longer text.
MAX_QUESTION_CHARS = 10_000
# A plan multiplies: the limit on one trial's calls times this bounds all of its calls together.
TRIALS_OF_FULL_SIZE = 20
# A warm-up opens channels and fills caches, which takes a few calls, not all of them.
WARMUP_CALLS = 20
WARMUP_CREATIONS = 2
# The tutorial asks for 50 different things, however many calls there are.
DISTINCT_QUERIES = 50
DELETE_FIELDS = (PRIMARY_FIELD, "id")
# How fresh a view a delete takes to find its rows. The empty one asks for none: a server then takes
# Strong and waits for its clock, whatever the collection's level is.
DELETE_CONSISTENCIES = ("", "Strong", "Session", "Bounded", "Eventually")
WITHOUT_WAITING = ("Bounded", "Eventually")

# As an operation's `typical_s`, where a delete waits for a server's clock.
_DELETE_BY_METADATA_S = (0.2, 0.003)
_SETUP_S = 5.0
_BETWEEN_TRIALS_S = 0.5
_EMBEDDED_SETUP_S = 1.0
# An estimate of time is good within this factor.
ESTIMATE_FACTOR = 3.0
_EMBEDDED_BETWEEN_TRIALS_S = 0.05


EXPERIMENT_NAMES = (COMPARE, RATE, OVERLOAD, SERVICE, CHAIN)
# How a chain can be asked.
CHAIN_WAYS = (
    "sync_loop",
    "thread_pool",
    "gather",
    "gather_limited",
    "blocking",
    "to_thread",
    "chain_abatch",
)
# Each user and each of a stalled neighbour's requests has a socket.
MAX_USERS = 500
SERVED_WARMUP_S = 2.0
TRIALS_OF_A_SEARCH = 16
OVERLOAD_WARNING = (
    "This sends more and more calls at once until the server refuses some. Whoever else uses it "
    "will notice. Only the run's own collection is written to."
)
DEFAULT_RATES = (100.0,)
# Low enough for langchain-milvus's own search parameters: an AUTOINDEX of 10,000 rows has 0.72.
LEAST_RECALL = 0.5


@dataclass(frozen=True)
class Cell:
    """One operation, issued one way, so many times."""

    operation: str
    strategy: str
    count: int
    concurrency: int | None
    rate_per_s: float | None = None
    batch: int = 1
    retries: int = 0
    seconds: float = 0.0
    most_calls: int = MAX_TIMED_CALLS  # of a timed trial

    @property
    def key(self) -> CellKey:
        """What its trials have in common."""
        return CellKey.of(self)

    @property
    def calls(self) -> int:
        """How many calls one trial makes: one when everything is in a single batched call.

        For a timed trial it is the most that it may make.
        """
        if self.seconds:
            return self.most_calls
        return 1 if STRATEGIES[self.strategy].is_batch else -(-self.count // self.batch)

    @property
    def most_in_flight(self) -> int:
        """How many calls of a trial may wait at once; of an open loop all that come in its time."""
        if self.rate_per_s and self.seconds:
            return math.ceil(self.rate_per_s * self.seconds)
        return self.calls if self.concurrency is None else min(self.concurrency, self.calls)

    @property
    def warmup_calls(self) -> int:
        """How many calls one warm-up trial makes; a timed one makes what it has time for."""
        if self.seconds:
            return self.calls
        creates = OPERATIONS[self.operation].effect is Effect.CREATES
        return min(self.calls, WARMUP_CREATIONS if creates else WARMUP_CALLS)

    @property
    def warmup_seconds(self) -> float:
        """How long a timed trial warms up: a service has its connections and threads soon."""
        return (
            min(self.seconds, SERVED_WARMUP_S) if STRATEGIES[self.strategy].style else self.seconds
        )

    @property
    def label(self) -> str:
        """The cell in words: 'add_documents × 100, Async, at most 32'."""
        if self.seconds:
            return f"{self.operation} for {self.seconds:g} s, {cell_label(self.key)}"
        return cell_text(self.key)


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a run does; the seed decides the rest.

    `concurrency` are the limits tried by the strategies that take one; several make a sweep.
    `rows` are in the collection before every trial. `delete_by` is the field that a delete's
    expression names: the primary key `pk`, or `id`, a metadata field as in the tutorial, for
    which a server must first find the rows. `delete_consistency` is how fresh a view it takes to
    find them; empty leaves that to langchain-milvus and the server.

    With `seconds` the trials are timed: they make calls for so long, whatever `counts` says.
    `rates` are calls a second, for the strategies that start calls at a rate. `batches` are rows a
    call, for operations that add. `retries` is how often a refused call is tried again.
    `experiment` names the schedule: "compare" makes every cell, "service" too, of ways that ask a
    search API, where `concurrency` are its users, and "chain" of a RAG chain; the others choose
    the next cell by what they have seen. `p99_ms` is the latency that the experiment "rate" keeps
    below.

    `index` is that of the run's own collection; empty takes an exact one. Where the index is not
    exact, and in a collection that was there before, the answers of a trial need a mean recall of
    `least_recall` of the exact rows.

    With a `collection` the run asks `questions` of it instead of filling one of its own, and
    writes nothing.
    """

    operations: tuple[str, ...]
    strategies: tuple[str, ...] = ("sync_loop", "gather")
    counts: tuple[int, ...] = (10, 100)
    repeats: int = 3
    warmup: int = 1
    concurrency: tuple[int, ...] = (32,)
    rows: int = 1_000
    k: int = 3
    fetch_k: int = DEFAULT_FETCH_K
    lambda_mult: float = DEFAULT_LAMBDA
    seed: int = 7
    embedding_latency_ms: float = 0.0
    embedding_jitter_ms: float = 0.0
    embedding: str = "bundled"
    delete_by: str = PRIMARY_FIELD
    delete_consistency: str = ""
    preset: str = ""
    collection: str = ""
    questions: tuple[str, ...] = ()
    seconds: float = 0.0
    rates: tuple[float, ...] = ()
    batches: tuple[int, ...] = ()
    retries: int = 0
    p99_ms: float = 0.0
    experiment: str = COMPARE
    index: str = ""
    least_recall: float = LEAST_RECALL
    most_calls: int = MAX_TIMED_CALLS

    def check(self, settings: Settings | None = None) -> None:
        """Raise InvalidInput, one line that names the value, unless the plan can be run."""
        limits = settings or Settings(milvus_uri="unused.db")
        _check_names("operation", self.operations, OPERATIONS)
        _check_names("strategy", self.strategies, STRATEGIES)
        _check_names("embedding", (self.embedding,), PROVIDERS)
        if self.delete_by not in DELETE_FIELDS:
            raise InvalidInput(f"delete by {self.delete_by!r} is not possible: use pk or id.")
        if self.delete_consistency not in DELETE_CONSISTENCIES:
            raise InvalidInput(
                f"delete consistency {self.delete_consistency!r} does not exist: use "
                f"{', '.join(DELETE_CONSISTENCIES[1:])}, or none."
            )
        self._check_questions()
        self._check_index()
        # Before anything is multiplied: a plan may come from somebody's file.
        for name in ("counts", "concurrency", "rates", "batches"):
            if len(getattr(self, name)) > MAX_NUMBERS:
                raise InvalidInput(f"{name} takes at most {MAX_NUMBERS} numbers.")
        _check_numbers("count", self.counts, 1, limits.max_calls)
        most = min(MAX_CONCURRENCY, limits.max_concurrency)
        _check_numbers("concurrency", self.concurrency, 1, most)
        _check_numbers("repeats", (self.repeats,), 1, MAX_REPEATS)
        _check_numbers("warmup", (self.warmup,), 0, MAX_WARMUP)
        if not self.collection:
            _check_numbers("rows", (self.rows,), 1, limits.max_rows)
        self._check_load()
        if self.seconds and self.most_calls > (most := most_timed_calls(limits)):
            raise InvalidInput(f"A timed trial may make at most {most:,} calls here.")
        check_ranking(self.k, self.fetch_k, self.lambda_mult)
        for name in ("embedding_latency_ms", "embedding_jitter_ms"):
            value = getattr(self, name)
            if not 0 <= value <= MAX_LATENCY_MS:
                raise InvalidInput(f"{name} must be between 0 and {MAX_LATENCY_MS:,.0f} ms.")
        if self.embedding_jitter_ms and not self.embedding_latency_ms:
            raise InvalidInput("embedding_jitter_ms takes an embedding_latency_ms that it varies.")
        cells = len(self.cells())
        if cells > MAX_CELLS:
            raise InvalidInput(
                f"The plan has {cells:,} cells; the limit is {MAX_CELLS}.",
                next_step="Choose fewer operations, strategies, counts or limits.",
            )
        if not cells:
            raise InvalidInput(
                f"{', '.join(self.strategies)} cannot issue {', '.join(self.operations)}.",
                next_step="Add another strategy, such as gather.",
            )
        self._check_in_flight(limits)
        self._check_rows()
        total = self.total_calls()
        if total > TRIALS_OF_FULL_SIZE * limits.max_calls:
            raise InvalidInput(
                f"The plan makes {total:,} calls; the limit is "
                f"{TRIALS_OF_FULL_SIZE * limits.max_calls:,}.",
                next_step="Choose fewer repeats, strategies or operations, or smaller counts.",
            )
        if self._exceeds(limits, ESTIMATE_FACTOR, embedded=True):
            raise InvalidInput(
                f"The run would take very roughly {self.estimate_s(embedded=True):,.0f} s; a job "
                f"may run {limits.max_run_s:,} s here.",
                next_step="Choose fewer repeats, calls, strategies or operations, or a shorter "
                "wait of the embedding.",
            )

    def time_warning(self, limits: Settings, *, embedded: bool) -> str:
        """Return one sentence for a run that may be stopped by a public host; empty for others."""
        if not self._exceeds(limits, embedded=embedded):
            return ""
        return (
            f"This may take longer than the {limits.max_run_s:,} s that a job may run here: it is "
            "stopped then, and what was finished is kept as a partial run."
        )

    def _exceeds(self, limits: Settings, factor: float = 1.0, *, embedded: bool) -> bool:
        return limits.public and self.estimate_s(embedded=embedded) > factor * limits.max_run_s

    def _check_in_flight(self, limits: Settings) -> None:
        """Bound what a trial has in flight, whether it says so, sends all at once or opens a loop.

        An open loop sends on while nobody answers, so its rate times its time is bounded.
        """
        for cell in self.cells():
            most = limits.max_concurrency
            if cell.rate_per_s:
                most = most_timed_calls(limits) if cell.seconds else limits.max_calls
            if cell.most_in_flight > most:
                raise InvalidInput(
                    f"{cell.label} has {cell.most_in_flight:,} calls in flight; "
                    f"the limit is {most:,}.",
                    next_step="Choose a strategy with a limit, or smaller counts or rates.",
                )

    def within(self, limits: Settings) -> "Plan":
        """Return this plan with timed trials that end at the limit of calls too."""
        most = most_timed_calls(limits)
        return replace(self, most_calls=most) if self.seconds and self.most_calls > most else self

    def _check_rows(self) -> None:
        for name in self.operations:
            uses_up = OPERATIONS[name].effect in {Effect.REMOVES, Effect.CHANGES}
            if uses_up and max(self.counts) > self.rows:
                raise InvalidInput(
                    f"{name} × {max(self.counts):,} needs at least that many starting rows; "
                    f"rows is {self.rows:,}.",
                    next_step="Raise rows or lower the count.",
                )

    def _check_load(self) -> None:
        if self.experiment not in EXPERIMENT_NAMES:
            known = ", ".join(EXPERIMENT_NAMES)
            raise InvalidInput(f"There is no experiment {self.experiment!r}.", next_step=known)
        if any(not 0 < rate <= MAX_RATE_PER_S for rate in self.rates):
            raise InvalidInput(f"rates must be above 0 and at most {MAX_RATE_PER_S:,} a second.")
        _check_numbers("retries", (self.retries,), 0, MAX_RETRIES)
        if self.batches:
            _check_numbers("batches", self.batches, 1, max(self.counts))
            if any(OPERATIONS[name].effect is not Effect.ADDS for name in self.operations):
                raise InvalidInput("Batches are for operations that add rows.")
        if not 0 <= self.p99_ms <= MAX_LATENCY_MS:
            raise InvalidInput(f"p99_ms must be between 0 and {MAX_LATENCY_MS:,.0f} ms.")
        if self.experiment == RATE:
            if not (self.seconds and self.p99_ms):
                raise InvalidInput("Searching for a rate takes --seconds and --p99-ms.")
            if not any(STRATEGIES[name].is_open for name in self.strategies):
                loops = [one.name for one in STRATEGIES.values() if one.is_open]
                raise InvalidInput(
                    "Searching for a rate takes an open loop.",
                    next_step=f"Add {' or '.join(loops)} to the strategies.",
                )
        self._check_service()
        self._check_chain()
        if not self.seconds:
            return
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise InvalidInput(
                f"seconds must be between {MIN_SECONDS:g} and {MAX_SECONDS:g}, not "
                f"{self.seconds:g}: a shorter trial does not sustain its level."
            )
        for name in self.operations:
            if OPERATIONS[name].writes:
                raise InvalidInput(f"Timed trials only read; {name} writes.")
        for name in self.strategies:
            if not STRATEGIES[name].can_be_timed:
                timed = [one.name for one in STRATEGIES.values() if one.can_be_timed]
                raise InvalidInput(
                    f"{name} makes all its calls at once, so it cannot be timed.",
                    next_step=f"Use {', '.join(timed)}.",
                )
        if self.seconds * self.repeats * len(self.cells()) > MAX_TIMED_RUN_S:
            raise InvalidInput(f"The trials would take over {MAX_TIMED_RUN_S / 60:g} minutes.")

    def _check_service(self) -> None:
        served = set(self.strategies) & set(SERVED_WAYS)
        if self.experiment != SERVICE:
            if served:
                raise InvalidInput(f"{min(served)} asks a service: it takes --experiment service.")
            return
        if served != set(self.strategies):
            raise InvalidInput(
                "The experiment service takes ways that ask a service.",
                next_step=f"Use {', '.join(SERVED_WAYS)}.",
            )
        if not self.seconds:
            raise InvalidInput("The experiment service takes --seconds: its users ask for so long.")
        if max(self.concurrency) > MAX_USERS:
            raise InvalidInput(
                f"A service has at most {MAX_USERS:,} users here, not {max(self.concurrency):,}.",
                next_step="Choose fewer: --concurrency are the users.",
            )

    def _check_chain(self) -> None:
        if self.experiment != CHAIN:
            if asked := [name for name in self.strategies if STRATEGIES[name].of_a_chain]:
                raise InvalidInput(f"{asked[0]} asks a chain: it takes --experiment chain.")
            return
        if self.operations != ("similarity_search",) or self.seconds:
            raise InvalidInput("The experiment chain counts questions of similarity_search.")
        if others := set(self.strategies) - set(CHAIN_WAYS):
            raise InvalidInput(
                f"A chain cannot be asked by {min(others)}.",
                next_step=f"Use {', '.join(CHAIN_WAYS)}.",
            )

    def _check_questions(self) -> None:
        if bool(self.collection) != bool(self.questions):
            raise InvalidInput("Questions and the collection that they are asked of go together.")
        for name in self.operations if self.collection else ():
            if not OPERATIONS[name].searches:
                raise InvalidInput(f"Questions can only be searched for; {name} is no search.")
        if any(not 0 < len(question.strip()) <= MAX_QUESTION_CHARS for question in self.questions):
            raise InvalidInput(f"A question takes 1 to {MAX_QUESTION_CHARS:,} characters.")

    def _check_index(self) -> None:
        if not 0 <= self.least_recall <= 1:
            raise InvalidInput(f"least recall must be between 0 and 1, not {self.least_recall:g}.")
        if not self.index:
            return
        _check_names("index", (self.index,), INDEX_TYPES)
        if self.collection:
            raise InvalidInput("A collection that exists keeps its index.")

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, Any], limits: Settings | None = None
    ) -> "Plan | None":
        """Return the plan that a run's settings record, or None when they do not tell.

        What exceeds the `limits`, by default those of this app, is no plan of it either.
        """
        known = {field.name for field in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in settings.items()
            if name in known
        }
        try:
            plan = cls(**given)
            plan.check(limits)
        except (TypeError, ValueError, LabError):
            return None
        return plan

    @property
    def label(self) -> str:
        """What to call a run of this plan."""
        if self.collection:
            return f"{counted(len(self.questions), 'question')} to {shown_name(self.collection)}"
        return PRESETS[self.preset].label if self.preset in PRESETS else "Custom run"

    def groups(self) -> tuple[tuple[Cell, ...], ...]:
        """Return the cells that are compared with each other: one operation at one count."""
        return tuple(
            group
            for operation in self.operations
            for count in ((0,) if self.seconds else self.counts)
            if (group := tuple(self._group(operation, count)))
        )

    def _group(self, operation: str, count: int) -> Iterable[Cell]:
        for name in self.strategies:
            strategy = STRATEGIES[name]
            if not strategy.applies(operation):
                continue
            limits = self.concurrency if strategy.uses_limit else (None,)
            rates = (self.rates or DEFAULT_RATES) if strategy.uses_rate else (None,)
            is_alone = strategy.uses_rate or strategy.is_batch or not self.batches
            for limit, rate, batch in product(limits, rates, (1,) if is_alone else self.batches):
                yield Cell(
                    operation,
                    name,
                    count,
                    strategy.concurrency(limit),
                    rate,
                    batch,
                    retries=self.retries,
                    seconds=self.seconds,
                    most_calls=self.most_calls,
                )

    def cells(self) -> tuple[Cell, ...]:
        """Return all cells, in the order of operations, counts and strategies."""
        return tuple(cell for group in self.groups() for cell in group)

    def total_calls(self) -> int:
        """Return how many calls are made, warm-up included; 0 for timed trials."""
        if self.seconds:
            return 0
        return sum(
            self.repeats * cell.calls + self.warmup * cell.warmup_calls for cell in self.cells()
        )

    def estimate_s(self, *, embedded: bool = False) -> float:
        """Return a rough guess of the run's duration in seconds, good within a factor of three.

        It knows typical times of calls, not this Milvus, this machine or this network. An
        `embedded` Milvus Lite sets up and restores rows without a server's ticks.
        """
        total = _EMBEDDED_SETUP_S if embedded else _SETUP_S
        if self.experiment == RATE:
            return total + self.total_trials() * 2 * self.seconds
        between_s = _EMBEDDED_BETWEEN_TRIALS_S if embedded else _BETWEEN_TRIALS_S
        for cell in self.cells():
            one_trial = self._estimate_trial_s(cell, cell.calls, embedded)
            warmup = self._estimate_trial_s(cell, cell.warmup_calls, embedded)
            total += self.repeats * (one_trial + between_s)
            total += self.warmup * (warmup + between_s)
        return total

    @property
    def counts_trials(self) -> bool:
        """Say whether progress is counted in trials: how many calls there will be is unknown."""
        return self.seconds > 0 or self.experiment != COMPARE

    def total_trials(self) -> int:
        """Return how many trials are made, without warm-up. For a search this is an estimate."""
        if self.experiment == RATE:
            return TRIALS_OF_A_SEARCH + self.repeats
        if self.experiment == OVERLOAD:
            return len(self.counts) + 3 * self.repeats
        return self.repeats * len(self.cells())

    def _estimate_trial_s(self, cell: Cell, calls: int, embedded: bool) -> float:
        if cell.seconds and calls == cell.most_calls:
            return cell.seconds
        alone_s, crowded_s = OPERATIONS[cell.operation].typical_s
        if cell.operation == "delete" and self.deletes_wait and not embedded:
            alone_s, crowded_s = _DELETE_BY_METADATA_S
        embed_s = self.embedding_latency_ms / 1000 if OPERATIONS[cell.operation].embeds else 0.0
        embed_s += ANSWER_S if self.experiment == CHAIN else 0.0
        in_flight = min(cell.concurrency or calls, calls)
        if in_flight == 1:
            return calls * (alone_s + embed_s)
        return calls * max(crowded_s, embed_s / in_flight) + alone_s + embed_s

    @property
    def deletes_wait(self) -> bool:
        """Say whether a server's deletes look for their rows and wait for its clock to do so."""
        return deletes_wait(self.delete_by, self.delete_consistency)


def message_warning(plan: Plan, dimension: int) -> str:
    """Say which batches would not fit into one gRPC message; empty where all do.

    A row is its vector of 32-bit numbers, and about as much text as the tutorial's documents have.
    """
    row_bytes = 4 * dimension + TEXT_BYTES
    too_large = [rows for rows in plan.batches if rows * row_bytes > MAX_MESSAGE_BYTES]
    batched = [n for n in plan.counts if "one_batch" in plan.strategies and not plan.collection]
    if any(OPERATIONS[name].effect is not Effect.READS for name in plan.operations):
        too_large += [rows for rows in batched if rows * row_bytes > MAX_MESSAGE_BYTES]
    if not too_large:
        return ""
    rows = min(too_large)
    return (
        f"{rows:,} rows of {dimension:,} dimensions take about {rows * row_bytes / 2**20:,.0f} MB: "
        f"more than the {MAX_MESSAGE_BYTES / 2**20:,.0f} MB that one message to Milvus may have. "
        "Such calls will fail."
    )


def deletes_wait(delete_by: str, delete_consistency: str) -> bool:
    """Say whether a server waits for its clock before such a delete."""
    return delete_by != PRIMARY_FIELD and delete_consistency not in WITHOUT_WAITING


@dataclass(frozen=True)
class Preset:
    """A plan with a name and a reason."""

    label: str
    summary: str
    plan: Plan


PRESETS: dict[str, Preset] = {
    preset.plan.preset: preset
    for preset in (
        Preset(
            label="Tutorial",
            summary="Add, search and delete, 10 and 100 times.",
            plan=Plan(
                operations=("add_documents", "similarity_search", "delete"),
                strategies=("sync_loop", "gather"),
                counts=(10, 100),
                delete_by="id",
                preset="tutorial",
            ),
        ),
        Preset(
            label="Quick",
            summary="Add and search, 20 times.",
            plan=Plan(
                operations=("add_documents", "similarity_search"),
                strategies=("sync_loop", "gather", "one_batch"),
                counts=(20,),
                rows=200,
                # Short waits and five repeats: ten seconds, and an interval that is narrow.
                repeats=5,
                embedding_latency_ms=15.0,
                preset="quick",
            ),
        ),
        Preset(
            label="Limits",
            summary="Which limit to set: searches at 1 to 128 in flight.",
            plan=Plan(
                operations=("similarity_search_by_vector",),
                strategies=("gather_limited",),
                concurrency=(1, 2, 4, 8, 16, 32, 64, 128),
                seconds=2.0,
                preset="sweep",
            ),
        ),
        Preset(
            label="Batches",
            summary="Which batch size to set: 2,000 documents in batches of 10 to 1,000.",
            plan=Plan(
                operations=("add_documents",),
                strategies=("gather_limited",),
                counts=(2_000,),
                concurrency=(2,),
                batches=(10, 50, 100, 500, 1_000),
                preset="batches",
            ),
        ),
        Preset(
            label="Load",
            summary="What load it holds: the most searches a second with a p99 below 50 ms.",
            plan=Plan(
                operations=("similarity_search_by_vector",),
                strategies=("open_constant", "gather_limited"),
                seconds=2.0,
                p99_ms=50.0,
                experiment=RATE,
                preset="rate",
            ),
        ),
        Preset(
            label="Overload",
            summary="What breaks first, and what avoids it: a limit, a token bucket, retries.",
            plan=Plan(
                operations=("similarity_search_by_vector",),
                strategies=("gather", "gather_limited", "token_bucket"),
                counts=(500, 1_000, 2_000, 4_000),
                concurrency=(128,),
                retries=5,
                experiment=OVERLOAD,
                preset="overload",
            ),
        ),
        Preset(
            label="Service",
            summary="What 50 users of a search API and their neighbour get, in five styles.",
            plan=Plan(
                operations=("similarity_search",),
                strategies=SERVED_WAYS,
                concurrency=(50,),
                seconds=5.0,
                embedding_latency_ms=100.0,
                experiment=SERVICE,
                preset="service",
            ),
        ),
        Preset(
            label="Bulk",
            summary="Documents in bulk: rows a second one by one, gathered, in batches, and both.",
            plan=Plan(
                operations=("add_documents",),
                strategies=("sync_loop", "gather_limited"),
                counts=(500,),
                batches=(1, 50),
                embedding_latency_ms=50.0,
                preset="bulk",
            ),
        ),
        Preset(
            label="Search",
            summary="Frequent searches: how many a second one by one, in threads, async, at once.",
            plan=Plan(
                operations=("similarity_search",),
                strategies=("sync_loop", "thread_pool", "gather_limited", "one_batch"),
                counts=(200,),
                concurrency=(50,),
                embedding_latency_ms=50.0,
                preset="searches",
            ),
        ),
        Preset(
            label="RAG",
            summary="What 1, 10 and 50 askers of retriever, prompt and chat model wait.",
            plan=Plan(
                operations=("similarity_search",),
                strategies=("sync_loop", "thread_pool", "gather", "chain_abatch"),
                counts=(1, 10, 50),
                concurrency=(50,),
                embedding_latency_ms=100.0,
                experiment=CHAIN,
                preset="chain",
            ),
        ),
    )
}


def most_timed_calls(limits: Settings) -> int:
    """Return how many calls a timed trial may make; a public host bounds it like any other."""
    return min(MAX_TIMED_CALLS, limits.max_calls) if limits.public else MAX_TIMED_CALLS


def preset(name: str) -> Preset:
    """Return a preset by name. Raises InvalidInput with the nearest right name."""
    _check_names("preset", (name,), PRESETS)
    return PRESETS[name]


def _check_names(what: str, names: tuple[str, ...], known: Mapping[str, Any]) -> None:
    if not names:
        raise InvalidInput(f"Choose at least one {what}.")
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise InvalidInput(
                f"There is no {what} named {name!r}.",
                next_step=f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}.",
            )
    if len(set(names)) < len(names):
        raise InvalidInput(
            f"An {what} is named twice." if what[0] in "aeiou" else f"A {what} is named twice."
        )


def _check_numbers(what: str, numbers: tuple[int, ...], low: int, high: int) -> None:
    if not numbers:
        raise InvalidInput(f"Give at least one {what}.")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise InvalidInput(f"{what} must be between {low:,} and {high:,}, not {number:,}.")
    if len(set(numbers)) < len(numbers):
        raise InvalidInput(f"{what} has a number twice.")
