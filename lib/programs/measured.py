"""The numbers of a run → the programs of its calls: a loop, a gather, one batch."""

from dataclasses import dataclass
from typing import Any

from lib.programs.filling import Code, Value, fill, names_in
from lib.programs.snippet import OWN, Place, Snippet, opening, options, snippet
from lib.results.catalogue import OPERATIONS, Effect, Operation

# What the calls of an operation may name, in the order in which it is made.
MADE = ("new", "new_vectors", "queries", "vectors", "revised", "made", "at")


@dataclass(frozen=True)
class Measured:
    """What was measured of one operation: plain numbers, and the words that a plan may choose.

    `rows` lie in the collection before, `number` of rows or questions the calls work on. A call
    takes `rows_a_call`; at most `limit` are in flight, None for no limit. The documents are drawn
    by `seed`. A delete names the field `delete_by`, at a consistency level, which may be "".
    """

    operation: str
    number: int
    rows: int
    k: int
    fetch_k: int
    lambda_mult: float
    seed: int
    distinct_queries: int
    delete_by: str
    delete_consistency: str
    rows_a_call: int = 1
    limit: int | None = None

    @property
    def calls(self) -> int:
        """How many calls are made."""
        return -(-self.number // self.rows_a_call)


def measured(asked: Measured, place: Place) -> Snippet:
    """Return the loop, the gather and the batched call, each with its time and its proof."""
    operation = OPERATIONS[asked.operation]
    holder = "Milvus" if operation.effect is Effect.CREATES else "store"
    batched = asked.rows_a_call > 1
    values = _values(asked, place)
    start = _start(asked, place, operation, values)

    def call(method: str, kind: str, new: str = "") -> Code:
        return fill(
            f"{kind} {operation.name}",
            **values,
            CALL=Code(f"{holder}.{method}"),
            NEW=Code(f"new{new}"),
            NEW_VECTORS=Code(f"new_vectors{new}"),
        )

    def program(cell: str, way: str, made: Code) -> str:
        report = fill(
            "report",
            OPERATION=operation.name,
            CALLS=asked.calls,
            OF=f" of {asked.rows_a_call} rows" if batched else "",
            WAY=way,
            PROOF=fill(f"proof {operation.effect.value}"),
            TIDY=fill("tidy creates" if operation.effect is Effect.CREATES else "tidy"),
        )
        part = fill("part of a call", ROWS_A_CALL=asked.rows_a_call) if batched else None
        return fill(
            cell,
            START=start,
            CALLS=asked.calls,
            LIMIT=asked.limit,
            PART=part,
            CALL=made,
            REPORT=report,
        )

    kind, part = ("batch", "[rows]") if batched else ("call", "")
    is_limited = asked.limit is not None
    way = f"gathered, at most {asked.limit} at once" if is_limited else "gathered"
    at_once = ""
    if operation.takes_batches:
        at_once = program("measured at once", "as one", call(operation.name, "batch"))
    elif operation.batchable:
        embed = fill("make vectors") if operation.embeds else None
        made = fill("searches at once", **values, EMBED=embed)
        at_once = program("measured at once", "as one", made)
    return snippet(
        place,
        sync=program("measured", "one after another", call(operation.name, kind, part)),
        asynchronous=program(
            f"measured async{' limited' if is_limited else ''}",
            way,
            call(operation.async_name, kind, part),
        ),
        one_batch=at_once,
    )


def _values(asked: Measured, place: Place) -> dict[str, Value]:
    level = f'consistency_level="{asked.delete_consistency}"' if asked.delete_consistency else ""
    effect = OPERATIONS[asked.operation].effect
    new = asked.number if effect in {Effect.ADDS, Effect.CREATES} else 0
    own_options = options(place).split("\n")
    return {
        "K": asked.k,
        "FETCH_K": asked.fetch_k,
        "LAMBDA_MULT": Code(f"{asked.lambda_mult:g}"),
        "SEED": asked.seed,
        "DELETE_BY": asked.delete_by,
        "LEVEL": Code(level),
        "NUMBER": asked.number,
        "DISTINCT": asked.distinct_queries,
        "ROWS": asked.rows,
        "DOCUMENTS": asked.rows + new,
        "OWN": OWN,
        # Each call of from_texts names a collection of its own.
        "OPTIONS": Code("\n".join(each for each in own_options if "collection_name" not in each)),
    }


def _start(asked: Measured, place: Place, operation: Operation, values: dict[str, Value]) -> Code:
    """Return what runs before the clock starts: the documents, the store and its rows."""
    blanks: dict[str, Any] = {"CALL": Code("call"), "NEW": Code("new"), "NEW_VECTORS": Code("new")}
    names = names_in(fill(f"call {operation.name}", **values, **blanks))
    if "vectors" in names:
        names.add("queries")
    made = [fill(f"make {name}", **values) for name in MADE if name in names]
    start = fill(
        "documents drawn",
        **values,
        OPENING=opening(place),
        MADE=Code("\n".join(made)) if made else None,
    )
    if operation.effect is Effect.CREATES:
        return start
    # A strongly consistent count also makes every row visible to the calls that follow.
    return fill("documents drawn and counted", START=start, COUNT=fill("count"))
