"""What an ingestion did: a tally while it runs, a report at its end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from lib.documents.problems import Problem, reasons
from lib.ingestion.batches import Batch
from lib.jobs import Job
from lib.words import counted

SPANS = 24  # as many as a glance takes in


@dataclass
class SourceTally:
    """What became of the rows of one source; `skipped` are parts that did not become rows."""

    read: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    skipped: int = 0

    @property
    def unchanged(self) -> int:
        """Rows that were there with the same text, or were given before."""
        return self.read - self.added - self.updated


@dataclass
class Tally:
    """What an ingestion has done so far; `embed_s` and `insert_s` are sums over all batches.

    Each row that was given is added, updated (its key or its place in a source was there with
    another text), unchanged, given twice, or refused. `removed` counts rows that were there before.
    """

    expected: int = 0  # rows, 0 when nobody knows
    given: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    removed: int = 0
    gone: int = 0  # rows that are kept although they are no longer in their source
    batches: int = 0
    embed_s: float = 0.0
    waited_s: float = 0.0  # the part of `embed_s` spent waiting after a refusal
    insert_s: float = 0.0
    lookup_s: float = 0.0
    wall_s: float = 0.0  # of reading and writing
    stopped: bool = False
    # The last batches: when each was begun and done, in seconds of one clock.
    spans: list[tuple[float, float]] = field(default_factory=list)
    sources: dict[str, SourceTally] = field(default_factory=dict)

    @property
    def written(self) -> int:
        """Rows that went in: new ones and changed ones."""
        return self.added + self.updated

    def count(self, batch: Batch, fresh: Sequence[int], changed: Sequence[int]) -> None:
        """Count a batch of which these rows were new and these changed."""
        self.batches += 1
        self.given += len(batch) + batch.refused
        self.refused += batch.refused
        self.added += len(fresh)
        self.updated += len(changed)
        self.unchanged += len(batch) - len(fresh) - len(changed)
        own = [self.source(str(metadata.get("source", ""))) for metadata in batch.metadatas]
        for source in own:
            source.read += 1
        for i in fresh:
            own[i].added += 1
        for i in changed:
            own[i].updated += 1

    def note_span(self, began: float) -> None:
        """Note a batch that was begun at this time of `time.perf_counter` and is done now."""
        self.spans = [*self.spans, (began, time.perf_counter())][-SPANS:]

    def source(self, name: str) -> SourceTally:
        """Return the tally of one source."""
        return self.sources.setdefault(name, SourceTally())

    def show(self, job: Job) -> None:
        """Write what was counted into a job's progress."""
        job.progress.done = self.given
        job.progress.total = max(self.expected, self.given) if self.expected else 0
        job.progress.detail |= {
            "added": self.added,
            "unchanged": self.unchanged,
            "spans": self.spans,
        }
        if self.embed_s:
            share = self.embed_s / (self.embed_s + self.insert_s)
            job.progress.message = f"{share:.0%} embedding, {1 - share:.0%} Milvus"


@dataclass(frozen=True)
class IngestionReport:
    """The outcome: `rows` is the collection's exact count afterwards."""

    tally: Tally
    rows: int
    collection: str
    problems: tuple[Problem, ...] = ()
    problems_total: int = 0
    # Rows that the count shows and this ingestion did not write: somebody else did.
    written_by_others: int = 0

    @property
    def outcome(self) -> str:
        """What became of the rows, in one line, with the reasons for what was skipped."""
        tally = self.tally
        numbers = {
            "added": tally.added,
            "replaced": tally.updated,
            "unchanged": tally.unchanged,
            "deleted": tally.removed,
        }
        # All that is not zero; of what came of nothing, that nothing was added.
        first, *others = [each for each in numbers.items() if each[1]] or [("added", 0)]
        told = [f"{counted(first[1], 'row')} {first[0]}"]
        told += [f"{number:,} {fate}" for fate, number in others]
        if self.problems_total:
            why = reasons(self.problems, self.problems_total)
            told.append(f"{self.problems_total:,} skipped ({why})")
        begin = f"Stopped at {tally.given:,}: " if tally.stopped else ""
        return begin + ", ".join(told)

    @property
    def rows_per_s(self) -> float:
        """Rows written per second of wall time."""
        return self.tally.written / self.tally.wall_s if self.tally.wall_s else 0.0
