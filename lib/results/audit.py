"""What an audit found: which methods are really async, counted at the channel.

Plain data in a file of its own. `lib.benchmark.audit` makes it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lib.errors import InvalidInput
from lib.results.run_file import redact
from lib.results.summaries import Speedup, geometric_mean, speedup
from lib.settings import PROJECT_ROOT
from lib.words import counted, duration_text, ms_text, ratio_text

FOLDER = PROJECT_ROOT / "assets" / "audits"  # the recorded ones
SCHEMA, KIND = 1, "milvus-async-lab/audit"
# A call that holds the loop longer than this blocks it, whatever it does meanwhile.
MOST_HELD_MS = 20.0
# Async methods that are no pair of their own, and what they are.
BESIDE = {
    "asearch": "makes one of the searches, by its `search_type`",
    "afrom_documents": "calls `afrom_texts`",
    "aget_by_ids": "is not supported: it raises NotImplementedError",
}


class _Awaited:
    """What is asked of an awaited way, whichever it is."""

    on_loop: tuple[str, ...]
    held_ms: float
    waited_ms: tuple[float, ...]

    @property
    def blocks(self) -> bool:
        """Say whether it holds the loop while Milvus answers."""
        return bool(self.on_loop) or self.held_ms > MOST_HELD_MS

    @property
    def neighbour_ms(self) -> float:
        """The neighbour's worst wait, the geometric mean of the repeats."""
        return geometric_mean([max(each, 0.001) for each in self.waited_ms])[0]


@dataclass(frozen=True)
class Instead(_Awaited):
    """Another way to do what a pair's async side does, made in turn with it: fields as there."""

    name: str
    asynchronous: tuple[str, ...]
    on_loop: tuple[str, ...]
    held_ms: float
    gathered_s: tuple[float, ...]
    waited_ms: tuple[float, ...]


@dataclass(frozen=True)
class Audited(_Awaited):
    """A sync method and its async twin on a warm collection.

    `sync` and `asynchronous` are the RPCs of one call of each side, by name, in their order;
    `on_loop` those of the async side that a sync client makes on the loop's thread. A call alone
    holds the loop for `held_ms`, the least of some. Of each repeat: `calls` calls in a loop take
    `loop_s`, gathered `gathered_s`, and a neighbour on the same loop waits `waited_ms` at most
    beside the gathered ones.
    """

    name: str
    sync: tuple[str, ...]
    asynchronous: tuple[str, ...]
    on_loop: tuple[str, ...]
    held_ms: float
    calls: int
    loop_s: tuple[float, ...]
    gathered_s: tuple[float, ...]
    waited_ms: tuple[float, ...]
    instead: tuple[Instead, ...] = ()  # none in older files

    @property
    def async_name(self) -> str:
        """The async twin's name, where it has one: a retriever is no method."""
        return f"a{self.name}" if self.name.isidentifier() else self.name

    @property
    def gain(self) -> Speedup:
        """How many times the gathered calls' time the loop takes."""
        return speedup(self.loop_s, self.gathered_s)

    def over(self, other: Instead) -> Speedup:
        """How many times another way's time it takes, both gathered."""
        return speedup(self.gathered_s, other.gathered_s)

    @property
    def verdict(self) -> str:
        """Whether it is really async, in one sentence."""
        if self.on_loop:
            return f"No: {counted(len(self.on_loop), 'sync RPC')} on the event loop at each call."
        if self.blocks:
            return f"No: a call holds the event loop for {duration_text(self.held_ms / 1000)}."
        return "Yes: it makes no sync RPC on the event loop."

    @property
    def sentence(self) -> str:
        """The verdict with what was measured."""
        return (
            f"{self.verdict} {counted(self.calls, 'call')} gathered: {ratio_text(self.gain.ratio)} "
            f"the speed of a loop, and a neighbour waits {ms_text(self.neighbour_ms)} at most."
        )

    @property
    def comparisons(self) -> tuple[str, ...]:
        """What it costs over each other way, a sentence each."""
        return tuple(
            f"Gathered, `{self.async_name}` takes {ratio_text(self.over(other).ratio)} the time "
            f"of {other.name}, where a neighbour waits {ms_text(other.neighbour_ms)} at most."
            for other in self.instead
        )


@dataclass(frozen=True)
class Audit:
    """The pairs of an audit and what they were measured on."""

    environment: dict[str, Any]
    pairs: tuple[Audited, ...]

    @property
    def sentence(self) -> str:
        """How many leave the event loop free."""
        free = sum(not pair.blocks for pair in self.pairs)
        first = "All" if free == len(self.pairs) else f"{free} of"
        return f"{first} {len(self.pairs)} async calls leave the event loop free."

    @property
    def blocking(self) -> str:
        """What holds it, in one sentence, empty where nothing does."""
        names = [f"`{pair.async_name}`" for pair in self.pairs if pair.blocks]
        return f"Held meanwhile: {', '.join(names)}." if names else ""


def to_json(audit: Audit) -> str:
    """Return the text of an audit's file, without what nobody else shall read."""
    said = {"schema": SCHEMA, "kind": KIND, "sentence": audit.sentence}
    content = {**said, **redact(asdict(audit))}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def read(path: Path) -> Audit:
    """Read an audit's file. Raises InvalidInput for another one."""
    try:
        content = json.loads(path.read_bytes())
        if (content.pop("schema"), content.pop("kind")) != (SCHEMA, KIND):
            raise InvalidInput(f"{path.name} is no audit of this version.")
        del content["sentence"]  # for who needs no more
        return TypeAdapter(Audit).validate_python(content)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path.name} is no audit: {type(error).__name__}.") from error


def recorded() -> dict[str, Audit]:
    """Return the audits that ship with the app, by what they were made on, the server's first."""
    found = [read(path) for path in sorted(FOLDER.glob("*.json"), reverse=True)]
    return {
        f"{made.environment['backend_label']} {made.environment['milvus_version']}": made
        for made in found
    }
