"""The collection that a benchmark works in: filled, restored between trials, checked after each.

Everything here happens outside the clock. Rows are restored with vectors that were made once. A
collection that was there before is only searched.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.utils.iter import batch_iterate
from langchain_milvus import Milvus

from lib import event_loop
from lib.benchmark.answers import OTHER_ROWS, Answers, Checked
from lib.benchmark.exact import METRICS, ExactRows
from lib.benchmark.recorder import NO_EFFECT, Recorder
from lib.documents.corpora import CORPORA
from lib.errors import OperationFailed
from lib.milvus import milvus_collections
from lib.milvus.connection import Connection, close_stores
from lib.milvus.embeddings import EmbeddingModel, SimulatedLatency, TimedEmbeddings
from lib.milvus.failures import reported
from lib.milvus.operations import OPERATIONS, Inputs, Operation, result_keys
from lib.milvus.reading import layout, walk
from lib.results.catalogue import INDEX_TYPES, PRIMARY_FIELD, TEXT_FIELD, VECTOR_FIELD, Effect
from lib.results.plan import DISTINCT_QUERIES, Plan

ROWS_AT_ONCE = 1_000
OPEN_TIMEOUT_S = 20.0
INDEX_TIMEOUT_S = 120.0
# How often a Milvus server makes writes visible to strongly consistent reads, by default.
SERVER_TICK_S = 0.2
# The benchmark's own collection: every answer of this index can be checked, row by row.
EXACT_INDEX, OWN_METRIC = "FLAT", "COSINE"
# What is read of somebody's collection to compute the right answers, and at once.
MOST_VECTOR_BYTES, PAGE_BYTES = 64 << 20, 4 << 20


class Workspace:
    """What the runner needs: rows to work on, a store to call, and a check of what happened."""

    inputs: Inputs
    store: Any
    processes: tuple[int, ...] = ()  # what is measured beside Milvus

    def facts(self) -> dict[str, Any]:
        """Return what the environment record says about the collection."""
        return {}

    def observed(self) -> dict[str, Any]:
        """Return what else is known of the trial that has just ended, as fields of a trial."""
        return {}

    def prepare(self, operation: Operation, count: int) -> None:
        """Bring the rows into the state that every trial of this operation starts from."""

    def begin_repeat(self, repeat: int) -> None:
        """Give all strategies of one repeat the same random waits."""

    def check(self, recorder: Recorder) -> Checked:
        """Return which of the `recorder.count` rows or results are not as they should be."""
        return Checked()

    def restore(self, recorder: Recorder) -> None:
        """Undo what a trial did."""

    def release(self, recorder: Recorder) -> None:
        """Let go of what the calls returned, also when the trial was stopped."""

    def close(self) -> None:
        """Leave nothing behind."""


class WorkspaceAround(Workspace):
    """A workspace that is asked in another way; what its methods do not say is the one inside."""

    def __init__(self, inner: Workspace) -> None:
        self._inner = inner
        self.inputs = inner.inputs

    def facts(self) -> dict[str, Any]:
        """Return what the environment record says about the collection."""
        return self._inner.facts()

    def prepare(self, operation: Operation, count: int) -> None:
        """Prepare the workspace inside."""
        self._inner.prepare(operation, count)

    def begin_repeat(self, repeat: int) -> None:
        """Give all strategies of one repeat the same random waits."""
        self._inner.begin_repeat(repeat)

    def check(self, recorder: Recorder) -> Checked:
        """Judge what came back, as the workspace inside does."""
        return self._inner.check(recorder)

    def restore(self, recorder: Recorder) -> None:
        """Undo what a trial did."""
        self._inner.restore(recorder)

    def release(self, recorder: Recorder) -> None:
        """Let go of what the calls returned."""
        self._inner.release(recorder)

    def close(self) -> None:
        """Close the workspace inside."""
        self._inner.close()


class SearchWorkspace(Workspace):
    """A collection that was there before and is only searched, with the questions of the plan."""

    store: Milvus

    def __init__(self, plan: Plan, connection: Connection, model: EmbeddingModel) -> None:
        self._prepare_checks(plan, connection, model)
        self.name = plan.collection
        collection = milvus_collections.describe(connection, self.name)
        milvus_collections.check_fits(collection, model.dimension, embedding=model.model)
        self._rows = collection.rows
        vectors = model.embeddings.embed_documents(list(plan.questions))
        self.inputs = Inputs(
            new=(),
            new_vectors=(),
            existing=(),
            queries=plan.questions,
            query_vectors=vectors,
            k=plan.k,
            fetch_k=plan.fetch_k,
            lambda_mult=plan.lambda_mult,
            key_field=collection.schema.key.name,
        )
        self._open_store()
        rows, reason = self._read_rows()
        self._judge_by(plan, rows, is_exact=False, reason=reason)

    def _prepare_checks(self, plan: Plan, connection: Connection, model: EmbeddingModel) -> None:
        self._connection = connection
        self._client = connection.client
        slowed = model.slowed(plan.embedding_latency_ms, plan.embedding_jitter_ms, plan.seed)
        self._embeddings = slowed.embeddings
        self._seed = plan.seed
        self._dice = random.Random(plan.seed)
        self._touched = False

    def _judge_by(
        self, plan: Plan, rows: ExactRows | None, *, is_exact: bool, reason: str = ""
    ) -> None:
        """Decide how answers are judged; an index that is not exact is judged by its recall."""
        self._answers = Answers(
            self.inputs,
            rows,
            None if is_exact else plan.least_recall,
            is_noisy=plan.embedding != "bundled",
            ask=self._ask,
        )
        self._judged = "each compared with the exact rows, computed from the vectors"
        if not is_exact:
            of = "the exact rows" if rows is not None else f"Milvus's own first answers: {reason}"
            self._judged = f"by recall, at least {plan.least_recall:g}, of {of}"

    def _open_store(self) -> None:
        self.store = self._connection.new_store(self.name, self._embeddings)
        event_loop.run(self.store.aclient.has_collection(self.name), timeout=OPEN_TIMEOUT_S)

    def facts(self) -> dict[str, Any]:
        """Return what the environment record says about the collection."""
        collection = milvus_collections.describe(self._connection, self.name)
        level = self._client.describe_collection(self.name).get("consistency_level")
        return {
            "index_type": collection.index_type,
            "metric_type": collection.metric_type,
            "rows": collection.rows,
            "dimension": collection.dimension,
            "consistency": CONSISTENCY.get(level, str(level)),
            "answers": self._judged,
        }

    def prepare(self, operation: Operation, count: int) -> None:
        """Check the starting rows; for searches, find out once what each call must return."""
        rows = milvus_collections.count(self._connection, self.name)
        if rows != self._rows:
            raise OperationFailed(
                f"{self.name} has {rows:,} rows before a trial, not {self._rows:,}.",
                kept="The trials finished before are kept.",
                next_step="Run it again when nothing else writes to this Milvus.",
            )
        if self._touched and not operation.writes:
            milvus_collections.prepare_for_search(self._connection, self.name)
            self._touched = False
        if operation.searches:
            self._answers.prepare(operation)
        if not self._connection.is_lite:
            # The count above was answered in step with a tick of the server; a trial that began
            # there would meet the same moment of a tick each time, not what a caller meets.
            time.sleep(self._dice.uniform(0.0, SERVER_TICK_S))

    def begin_repeat(self, repeat: int) -> None:
        """Start the same sequence of simulated waits for every strategy of this repeat."""
        embeddings = self._embeddings
        inner = embeddings.inner if isinstance(embeddings, TimedEmbeddings) else embeddings
        if isinstance(inner, SimulatedLatency):
            inner.restart(self._seed + repeat)

    def check(self, recorder: Recorder) -> Checked:
        """Find out by the keys returned which results are not the right ones."""
        results = recorder.results
        if recorder.in_one_call:
            results = results[0]
            if results is None:
                return Checked()
            if len(results) != recorder.count:
                return Checked(dict.fromkeys(range(recorder.count), OTHER_ROWS))
        if recorder.operation.searches:
            return self._answers.judge(recorder.operation, results)
        return Checked(
            {
                i: OTHER_ROWS
                for i, keys in enumerate(results)
                if keys not in (None, (self.inputs.key_of(i),))
            }
        )

    def close(self) -> None:
        """Close the store."""
        close_stores(self.store)

    def _read_rows(self) -> tuple[ExactRows | None, str]:
        """Read all keys and vectors of a collection; none, and why, where that is not possible."""
        facts = milvus_collections.describe(self._connection, self.name)
        if facts.metric_type not in METRICS:
            return None, f"nobody here can compute {facts.metric_type}"
        row_bytes = 4 * facts.dimension
        if facts.rows * row_bytes > MOST_VECTOR_BYTES:
            return None, f"{facts.rows:,} rows of {facts.dimension:,} dimensions are too many"
        shape = layout(self._connection, self.name)
        key, vector = shape.key.name, shape.vector.name if shape.vector else ""
        keys: list[str] = []
        vectors = np.empty((facts.rows, facts.dimension), dtype=np.float32)
        pages = walk(
            self._connection,
            self.name,
            fields=[key, vector],
            page_rows=max(PAGE_BYTES // row_bytes, 1),
            most=facts.rows,
            shape=shape,
        )
        for page in pages:
            end = len(keys) + len(page)
            vectors[len(keys) : end] = [row[vector] for row in page]
            keys += (str(row[key]) for row in page)
        if len(keys) < facts.rows:
            return None, f"{facts.rows - len(keys):,} of {facts.rows:,} rows did not come"
        return ExactRows(keys, vectors, facts.metric_type), ""

    def _ask(self, operation: Operation, i: int) -> tuple[str, ...]:
        """Ask Milvus by vector, so that no embedding call is involved."""
        kind = "max_marginal_relevance_search" if operation.is_mmr else "similarity_search"
        by_vector = OPERATIONS[f"{kind}_by_vector"]
        with reported(f"{self.name} could not be searched."):
            answer = by_vector.call(self.store, by_vector.arguments(self.inputs, i))
            return result_keys(answer, self.inputs.key_field)


class MilvusWorkspace(SearchWorkspace):
    """A collection of its own, and the store that the calls go through."""

    def __init__(
        self, plan: Plan, connection: Connection, model: EmbeddingModel, name: str = ""
    ) -> None:
        """Make it; without a name it gets a random one."""
        self._prepare_checks(plan, connection, model)
        self._rows = plan.rows
        self.name = name or connection.scratch_name()
        names = plan.operations
        adding = {Effect.ADDS, Effect.CREATES}
        added = max(plan.counts) if any(OPERATIONS[n].effect in adding for n in names) else 0
        documents = CORPORA["tutorial"].documents(plan.rows + added, plan.seed)
        queries = [f"test document {i}" for i in range(min(DISTINCT_QUERIES, max(plan.counts)))]
        # One embedding call for everything; the simulated latency is not part of the setup.
        texts = [document.page_content for document in documents] + queries
        vectors = model.embeddings.embed_documents(texts)
        self._vectors = {str(d.id): v for d, v in zip(documents, vectors, strict=False)}
        self.inputs = Inputs(
            new=documents[plan.rows :],
            new_vectors=vectors[plan.rows : len(documents)],
            existing=documents[: plan.rows],
            queries=queries,
            query_vectors=vectors[len(documents) :],
            k=plan.k,
            fetch_k=plan.fetch_k,
            lambda_mult=plan.lambda_mult,
            delete_field=plan.delete_by,
            delete_consistency=plan.delete_consistency,
            collection_prefix=f"{self.name}_new",
            connection_args=connection.arguments,
            embeddings=self._embeddings,
        )
        index = plan.index or default_index(connection)
        parameters = INDEX_TYPES[index].parameters if index else ()
        milvus_collections.create(
            connection,
            self.name,
            model.dimension,
            embedding=model.model,
            index_type=index,
            metric_type=OWN_METRIC,
            index_params={each.name: each.default for each in parameters},
        )
        try:
            self._insert(self.inputs.existing)
            self._settle()
            self._open_store()
            keys = [str(document.id) for document in self.inputs.existing]
            rows = ExactRows(keys, vectors[: plan.rows], OWN_METRIC)
            is_exact = index == EXACT_INDEX or (connection.is_lite and not index)
            self._judge_by(plan, rows, is_exact=is_exact)
        except BaseException:
            milvus_collections.drop(connection, self.name)
            raise

    def _settle(self) -> None:
        """Flush, and wait until the index is built: it must not happen behind the first trials."""
        milvus_collections.prepare_for_search(self._connection, self.name)
        if self._connection.is_lite:
            return
        with reported("Could not flush the benchmark's collection."):
            self._client.flush(self.name)
            deadline = time.monotonic() + INDEX_TIMEOUT_S
            while waiting := self._rows_without_index():
                if time.monotonic() > deadline:
                    raise OperationFailed(
                        "The index of the benchmark's collection was not built within "
                        f"{INDEX_TIMEOUT_S:g} s: {waiting:,} rows wait for it.",
                        kept="Nothing was measured.",
                        next_step="Take fewer rows or another index.",
                    )
                time.sleep(0.2)

    def _rows_without_index(self) -> int:
        index = self._client.describe_index(self.name, VECTOR_FIELD) or {}
        return int(index.get("pending_index_rows") or 0)

    def check(self, recorder: Recorder) -> Checked:
        """Find out by effect, or by the keys returned, what became of each row or result."""
        effect = recorder.operation.effect
        if effect is Effect.READS:
            return super().check(recorder)
        if effect is Effect.CREATES:
            return self._check_creates(recorder)
        documents = self.inputs.new if effect is Effect.ADDS else self.inputs.existing
        documents = documents[: recorder.count]
        texts = self._texts_of(documents)
        return Checked(
            {
                i: NO_EFFECT
                for i, document in enumerate(documents)
                if not _HAPPENED[effect](document, texts.get(str(document.id)))
            }
        )

    def restore(self, recorder: Recorder) -> None:
        """Undo what a trial did to the rows, with vectors made before."""
        effect, count = recorder.operation.effect, recorder.count
        if effect is Effect.ADDS:
            keys = [str(document.id) for document in self.inputs.new[:count]]
            with reported("Could not delete the rows that a trial added."):
                for part in batch_iterate(ROWS_AT_ONCE, keys):
                    self._client.delete(self.name, ids=part)
        elif effect is Effect.REMOVES:
            present = self._texts_of(self.inputs.existing[:count])
            self._insert([d for d in self.inputs.existing[:count] if str(d.id) not in present])
        elif effect is Effect.CHANGES:
            self._upsert(self.inputs.existing[:count])
        elif effect is Effect.CREATES:
            self._drop_created()
        self._touched = self._touched or effect is not Effect.READS
        if self._connection.is_lite and self._touched:
            # Milvus Lite scans unflushed rows in Python: every trial starts from flushed ones.
            milvus_collections.prepare_for_search(self._connection, self.name)
            self._touched = False

    def release(self, recorder: Recorder) -> None:
        """Close the stores that the calls of a trial created, finished or not."""
        for store in recorder.results:
            if isinstance(store, Milvus):
                close_stores(store)

    def close(self) -> None:
        """Close the store and drop every collection the benchmark made."""
        super().close()
        self._drop_created()
        milvus_collections.drop(self._connection, self.name)

    def _drop_created(self) -> None:
        with reported("Could not drop the collections that a benchmark created."):
            for name in self._client.list_collections():
                if name.startswith(self.inputs.collection_prefix):
                    self._client.drop_collection(name)

    def _check_creates(self, recorder: Recorder) -> Checked:
        wrong: dict[int, str] = {}
        with reported("Could not look at the collections that a trial created."):
            names = set(self._client.list_collections())
            for i in range(recorder.count):
                name = f"{self.inputs.collection_prefix}_{i}"
                if name not in names or milvus_collections.count(self._connection, name) != 1:
                    wrong[i] = NO_EFFECT
        return Checked(wrong)

    def _texts_of(self, documents: Sequence[Document]) -> dict[str, str]:
        """Return key → text of those of the documents that are in the collection now."""
        texts: dict[str, str] = {}
        with reported("Could not read the benchmark's rows back."):
            for part in batch_iterate(ROWS_AT_ONCE, [str(document.id) for document in documents]):
                rows = self._client.query(
                    self.name,
                    filter=f"{PRIMARY_FIELD} in {part}",
                    output_fields=[PRIMARY_FIELD, TEXT_FIELD],
                    consistency_level="Strong",
                )
                texts |= {str(row[PRIMARY_FIELD]): str(row[TEXT_FIELD]) for row in rows}
        return texts

    def _row(self, document: Document) -> dict[str, Any]:
        return {
            PRIMARY_FIELD: str(document.id),
            TEXT_FIELD: document.page_content,
            VECTOR_FIELD: self._vectors[str(document.id)],
            **document.metadata,
        }

    def _insert(self, documents: Sequence[Document]) -> None:
        with reported("Could not insert the benchmark's rows."):
            for part in batch_iterate(ROWS_AT_ONCE, documents):
                self._client.insert(self.name, [self._row(document) for document in part])

    def _upsert(self, documents: Sequence[Document]) -> None:
        with reported("Could not put the benchmark's rows back."):
            for part in batch_iterate(ROWS_AT_ONCE, documents):
                self._client.upsert(self.name, [self._row(document) for document in part])


def default_index(connection: Connection) -> str:
    """Return the index of a benchmark's own collection: an exact one wherever there is one.

    Empty stands for the backend's own default, which on Milvus Lite is exact, in native code.
    """
    has_it = connection.kind in INDEX_TYPES[EXACT_INDEX].kinds
    return EXACT_INDEX if has_it and not connection.is_lite else ""


# Whether a call had its effect, by its document and the text of the document's row now, if any.
_HAPPENED: dict[Effect, Callable[[Document, str | None], bool]] = {
    Effect.ADDS: lambda document, text: text is not None,
    Effect.REMOVES: lambda document, text: text is None,
    Effect.CHANGES: lambda document, text: text not in (None, document.page_content),
}

# Milvus's own numbering of consistency levels.
CONSISTENCY = {0: "Strong", 1: "Session", 2: "Bounded", 3: "Eventually", 4: "Customized"}
