"""The catalogue: what can be measured, in which ways, as data.

Whoever judges a run reads names, labels and effects here. What executes them refers to these
entries: `lib.milvus.operations` and `lib.benchmark.strategies`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from lib.words import rate_text

# The fields of the collections that the lab makes: langchain-milvus's defaults.
PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD = "pk", "text", "vector"
BASELINE = "sync_loop"
# The operations that a retriever makes, and its name for each.
SEARCH_TYPES = {"similarity_search": "similarity", "max_marginal_relevance_search": "mmr"}
# The embedding providers, with their labels.
PROVIDERS = {"bundled": "Bundled model (offline)", "openai": "OpenAI-compatible"}


class Effect(Enum):
    """What a call does to the rows of a collection."""

    READS = "reads"
    ADDS = "adds"
    REMOVES = "removes"
    CHANGES = "changes"
    CREATES = "creates"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row of the API, a sync method and its async twin: what it is called and what it does."""

    name: str  # the sync method's name, also the id in files and URLs
    label: str
    effect: Effect
    embeds: bool  # whether a call spends time in the embedding provider
    summary: str
    takes_batches: bool = False  # whether one call may bring many rows
    # For the estimate of a run: seconds of one call alone, and seconds that a call adds when many
    # are in flight. Typical of a small machine.
    typical_s: tuple[float, float] = (0.005, 0.002)

    @property
    def async_name(self) -> str:
        """The async twin's name."""
        return f"a{self.name}"

    @property
    def writes(self) -> bool:
        """Say whether a call changes rows."""
        return self.effect is not Effect.READS

    @property
    def searches(self) -> bool:
        """Say whether a call is a vector search."""
        return "search" in self.name and self.name != "search_by_metadata"

    @property
    def batchable(self) -> bool:
        """Say whether many calls can be asked as one.

        Searches have no such method in langchain-milvus: theirs is a multi-vector request.
        """
        return self.takes_batches or (self.searches and not self.is_mmr)

    @property
    def is_mmr(self) -> bool:
        """Say whether the search re-ranks by maximal marginal relevance."""
        return self.name.startswith("max_marginal_relevance")


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            name="add_texts",
            label="Add texts",
            effect=Effect.ADDS,
            embeds=True,
            summary="Embeds texts and inserts them with metadata and keys.",
            takes_batches=True,
        ),
        Operation(
            name="add_documents",
            label="Add documents",
            effect=Effect.ADDS,
            embeds=True,
            summary="The same for LangChain documents.",
            takes_batches=True,
        ),
        Operation(
            name="add_embeddings",
            label="Add embeddings",
            effect=Effect.ADDS,
            embeds=False,
            summary="Inserts texts whose vectors are already computed.",
            takes_batches=True,
        ),
        Operation(
            name="similarity_search",
            label="Similarity search",
            effect=Effect.READS,
            embeds=True,
            summary="Embeds a question and returns the k nearest documents.",
        ),
        Operation(
            name="similarity_search_by_vector",
            label="Similarity search by vector",
            effect=Effect.READS,
            embeds=False,
            summary="Returns the k nearest documents of a vector.",
        ),
        Operation(
            name="similarity_search_with_score",
            label="Similarity search with score",
            effect=Effect.READS,
            embeds=True,
            summary="The k nearest documents of a question, each with its score.",
        ),
        Operation(
            name="similarity_search_with_score_by_vector",
            label="Similarity search with score, by vector",
            effect=Effect.READS,
            embeds=False,
            summary="The k nearest documents of a vector, each with its score.",
        ),
        Operation(
            name="max_marginal_relevance_search",
            label="MMR search",
            effect=Effect.READS,
            embeds=True,
            summary="Fetches fetch_k candidates and picks k that are relevant and unlike each "
            "other.",
            typical_s=(0.01, 0.005),
        ),
        Operation(
            name="max_marginal_relevance_search_by_vector",
            label="MMR search by vector",
            effect=Effect.READS,
            embeds=False,
            summary="The same for a vector.",
            typical_s=(0.01, 0.005),
        ),
        Operation(
            name="delete",
            label="Delete",
            effect=Effect.REMOVES,
            embeds=False,
            summary="Deletes rows by key or expression.",
            takes_batches=True,
        ),
        Operation(
            name="upsert",
            label="Upsert",
            effect=Effect.CHANGES,
            embeds=True,
            summary="Embeds documents and replaces the rows that have their keys.",
            takes_batches=True,
        ),
        Operation(
            name="search_by_metadata",
            label="Search by metadata",
            effect=Effect.READS,
            embeds=False,
            summary="Returns documents that match an expression; no vectors involved.",
        ),
        Operation(
            name="get_pks",
            label="Get primary keys",
            effect=Effect.READS,
            embeds=False,
            summary="Returns the keys of the rows that match an expression.",
        ),
        Operation(
            # One call makes one collection: there is no batched form with the same effect.
            name="from_texts",
            label="Create from texts",
            effect=Effect.CREATES,
            embeds=True,
            summary="Creates a collection, indexes it and adds texts.",
            typical_s=(3.2, 3.0),
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way to issue N calls of one operation: what it is called, and what kind it is of."""

    name: str  # the id in files, URLs and on the command line
    title: str
    summary: str
    is_async: bool = False  # whether it awaits the async methods
    limited_label: str = ""  # the title with the concurrency in it; empty where there is no limit
    is_batch: bool = False
    uses_rate: bool = False
    is_open: bool = False  # whether calls start when they are due, whatever became of the others
    can_be_timed: bool = False  # whether it can make calls for a time instead of a number of them
    only: Collection[str] = ()  # the operations it can issue; all of them when empty
    style: str = ""  # the endpoint of the search API that it asks; empty for those without one
    of_a_chain: bool = False  # whether only a chain can be asked this way
    kind: str = ""  # its family, where that does not follow from the rest

    @property
    def uses_limit(self) -> bool:
        """Say whether it takes a bound on the calls in flight."""
        return bool(self.limited_label)

    def label(self, concurrency: int | None = None, rate_per_s: float | None = None) -> str:
        """Return the name with its concurrency or rate: 'Async, at most 32'."""
        if self.uses_rate and rate_per_s:
            return f"{self.title}, {rate_text(rate_per_s)}/s"
        if self.uses_limit and concurrency:
            label = self.limited_label.format(concurrency)
            return label.removesuffix("s") if concurrency == 1 else label  # 1 thread
        return self.title

    @property
    def family(self) -> str:
        """Its kind, one of `lib.charts.theme.FAMILIES`: what its colour says in every chart."""
        if self.kind:
            return self.kind
        if self.is_async:
            return "async"
        if self.is_batch:
            return "batch"
        return "threads" if self.uses_limit else "loop"

    def applies(self, operation: str) -> bool:
        """Say whether the operation of this name can be issued this way."""
        offered = not self.only or operation in self.only
        return offered and (OPERATIONS[operation].batchable or not self.is_batch)

    def concurrency(self, limit: int | None) -> int | None:
        """Return the most calls in flight at once; None where nothing limits it."""
        if self.uses_limit:
            return limit
        # Python bounds its default threads.
        return None if self.is_async or self.kind == "threads" else 1


def _served(style: str, title: str, summary: str, kind: str) -> Strategy:
    """Return a way in which a service's endpoint calls Milvus; its limit are the users."""
    return Strategy(
        name=f"service_{style}",
        title=title,
        summary=summary,
        is_async=kind == "async",
        limited_label=f"{title}, {{}} users",
        can_be_timed=True,
        only=("similarity_search",),
        style=style,
        kind=kind,
    )


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            name=BASELINE,
            title="Loop",
            summary="One call after another. The baseline of every speed-up.",
            can_be_timed=True,
        ),
        Strategy(
            name="thread_pool",
            title="Threads",
            summary="The sync method from a fixed number of threads.",
            limited_label="{} threads",
            can_be_timed=True,
        ),
        Strategy(
            name="gather",
            title="Async",
            summary="All coroutines at once in asyncio.gather, as the tutorial does.",
            is_async=True,
        ),
        Strategy(
            name="gather_limited",
            title="Async, limited",
            summary="asyncio.gather with a bound on the calls in flight.",
            is_async=True,
            limited_label="Async, at most {}",
            can_be_timed=True,
        ),
        Strategy(
            name="blocking",
            title="Sync in coroutines",
            summary="The sync method inside coroutines, gathered: it holds the loop at each call.",
            kind="blocking",
        ),
        Strategy(
            name="to_thread",
            title="asyncio.to_thread",
            summary="The sync method through asyncio.to_thread, gathered. Its threads are "
            "processors + 4, at most 32; `loop.set_default_executor(ThreadPoolExecutor(100))` "
            "sizes them.",
            kind="threads",
        ),
        Strategy(
            name="one_batch",
            title="One batch",
            summary="One call with everything in it, where the operation has such a form.",
            is_batch=True,
        ),
        Strategy(
            name="open_constant",
            title="Open loop",
            summary="Calls start evenly spaced, whether or not earlier ones were answered.",
            is_async=True,
            is_open=True,
            uses_rate=True,
            can_be_timed=True,
        ),
        Strategy(
            name="open_poisson",
            title="Open loop, Poisson",
            summary="Calls start at random moments with a given mean rate.",
            is_async=True,
            is_open=True,
            uses_rate=True,
            can_be_timed=True,
        ),
        Strategy(
            name="token_bucket",
            title="Token bucket",
            summary="Each call takes a token; tokens come in at a given rate.",
            is_async=True,
            uses_rate=True,
            can_be_timed=True,
        ),
        Strategy(
            name="retriever_invoke",
            title="Retriever, invoke",
            summary="`invoke` of the store as a LangChain retriever, one call after another.",
            can_be_timed=True,
            only=SEARCH_TYPES,
        ),
        Strategy(
            name="retriever_batch",
            title="Retriever, batch",
            summary="The retriever's `batch`: `invoke` from langchain's threads.",
            limited_label="Retriever, batch, {} threads",
            can_be_timed=True,
            only=SEARCH_TYPES,
        ),
        Strategy(
            name="retriever_ainvoke",
            title="Retriever, ainvoke",
            summary="The retriever's `ainvoke` in a gather with a bound on the calls in flight.",
            is_async=True,
            limited_label="Retriever, ainvoke, at most {}",
            can_be_timed=True,
            only=SEARCH_TYPES,
        ),
        Strategy(
            name="retriever_abatch",
            title="Retriever, abatch",
            summary="The retriever's `abatch`: `ainvoke` in langchain's own bounded gather.",
            is_async=True,
            limited_label="Retriever, abatch, at most {}",
            can_be_timed=True,
            only=SEARCH_TYPES,
        ),
        Strategy(
            name="chain_abatch",
            title="Chain, abatch",
            summary="The chain's `abatch`: it searches for all questions, then answers them all. "
            "Each first token waits for the slowest search.",
            is_batch=True,
            only=("similarity_search",),
            of_a_chain=True,
            kind="batch",
        ),
        _served(
            "blocking",
            "Sync call in async def",
            "A service's `async def` calls the sync method: the loop stands still meanwhile.",
            "blocking",
        ),
        _served(
            "def",
            "Plain def",
            "A service's `def`: the framework calls it in its forty threads.",
            "threads",
        ),
        _served(
            "to_thread",
            "asyncio.to_thread",
            "A service's `async def` hands the sync method to the default threads, processors + 4.",
            "threads",
        ),
        _served("async", "Awaited", "A service's `async def` awaits the async method.", "async"),
        _served(
            "limited",
            "Awaited, limited",
            "A service's `async def` awaits the async method, at most 32 at once.",
            "async",
        ),
    )
}
# Those that make their calls to a store themselves, and those that ask a service to.
OWN_WAYS = tuple(each.name for each in STRATEGIES.values() if not (each.style or each.of_a_chain))
SERVED_WAYS = tuple(each.name for each in STRATEGIES.values() if each.style)


@dataclass(frozen=True)
class Parameter:
    """One number that an index is built with, and its bounds."""

    name: str
    low: int
    high: int
    default: int
    meaning: str


@dataclass(frozen=True)
class IndexType:
    """One kind of vector index: where it exists and what it is built with."""

    name: str
    summary: str
    kinds: frozenset[str]  # of backends that really have it
    parameters: tuple[Parameter, ...] = ()
    # Bytes in memory for each number of a vector. A plain vector takes four.
    bytes_per_number: float = 4.0


_EVERYWHERE = frozenset({"lite", "server"})
_NLIST = Parameter("nlist", 1, 65_536, 128, "Into how many lists the vectors are sorted.")
_GRAPH = (
    Parameter("M", 4, 64, 16, "How many neighbours each vector keeps."),
    Parameter("efConstruction", 8, 512, 200, "How many candidates are looked at for them."),
)

# Milvus Lite takes the names of other indexes too, and builds none of them.
INDEX_TYPES: dict[str, IndexType] = {
    index.name: index
    for index in (
        IndexType("AUTOINDEX", "Milvus chooses.", _EVERYWHERE | {"zilliz"}, bytes_per_number=4.5),
        IndexType("FLAT", "Exact: every row is compared.", _EVERYWHERE),
        IndexType("IVF_FLAT", "Compares the nearest lists only.", _EVERYWHERE, (_NLIST,)),
        IndexType(
            "IVF_SQ8",
            "The same with a byte a number: a quarter of the memory, a little less exact.",
            _EVERYWHERE,
            (_NLIST,),
            bytes_per_number=1.0,
        ),
        IndexType(
            "HNSW",
            "A graph of neighbours: fast at any size, slow to build.",
            _EVERYWHERE,
            _GRAPH,
            bytes_per_number=4.5,
        ),
        IndexType(
            "HNSW_SQ",
            "The graph with a byte a number.",
            frozenset({"lite"}),
            _GRAPH,
            bytes_per_number=1.5,
        ),
        IndexType(
            "SCANN",
            "Lists with products of quantised parts: fast and small.",
            frozenset({"server"}),
            (_NLIST,),
            bytes_per_number=4.5,
        ),
    )
}
