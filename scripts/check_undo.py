"""Check the undo on random collections: the same rows come back, or it is said before the delete.

    python -m scripts.check_undo --uri http://127.0.0.1:19530 --cases 500 > undo.log

Each case has a schema, rows and a choice of edits and deletes drawn with a seed. The exit code is
how many cases lost or changed something.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from pymilvus import DataType, Function, FunctionType

from lib import settings
from lib.errors import InvalidInput
from lib.milvus import milvus_collections, rows
from lib.milvus.connection import Connection, open_connection
from lib.milvus.embeddings import EmbeddingModel, open_model
from lib.milvus.reading import layout, walk

DIMENSION = 8
TEXTS = ("", "a boat", "ß ☃ \n", 'it\'s "so"', "back\\slash", "x" * 300)
NAMES = ("n", "a b", "ünï", 'q"q', "a.b", "and", "1st", "deep")
Row = dict[str, Any]


def value(dice: random.Random) -> Any:
    """Draw a value that a metadata field may hold."""
    return dice.choice(
        [dice.randrange(-(2**53), 2**53), dice.random(), dice.choice(TEXTS), True, None,
         [1, "a", None], {"x": {"y": [0.5]}}, []]
    )  # fmt: skip


# How a field of each type is made and filled.
SCALARS: dict[str, tuple[DataType, Row, Any]] = {
    "flag": (DataType.BOOL, {}, lambda dice: dice.random() < 0.5),
    "tiny": (DataType.INT8, {}, lambda dice: dice.randrange(-128, 128)),
    "large": (DataType.INT64, {}, lambda dice: dice.randrange(-(2**63), 2**63)),
    "single": (DataType.FLOAT, {}, lambda dice: dice.randrange(-99, 99) / 4),
    "double": (DataType.DOUBLE, {}, lambda dice: dice.random()),
    "words": (DataType.VARCHAR, {"max_length": 1_000}, lambda dice: dice.choice(TEXTS)),
    "object": (DataType.JSON, {}, lambda dice: {"v": value(dice)}),
    "list": (
        DataType.ARRAY,
        {"element_type": DataType.INT64, "max_capacity": 9},
        lambda dice: [dice.randrange(9) for _ in range(dice.randrange(5))],
    ),
}  # fmt: skip


def draw(connection: Connection, name: str, dice: random.Random) -> str:
    """Make and fill a random collection; return what it is, for the log."""
    client, lite = connection.client, connection.is_lite
    is_text, auto, dynamic = (dice.random() < 0.5 for _ in range(3))
    is_text &= not (lite and auto)  # Milvus Lite makes numbers only
    fields = dice.sample(sorted(SCALARS), dice.randrange(len(SCALARS) + 1))
    nullable = {each for each in fields if lite and dice.random() < 0.3}
    bm25 = lite and dice.random() < 0.4
    schema = client.create_schema(auto_id=auto, enable_dynamic_field=dynamic)
    key_type = DataType.VARCHAR if is_text else DataType.INT64
    more: Row = {"max_length": 100} if is_text else {}
    schema.add_field("key", key_type, is_primary=True, auto_id=auto, **more)
    schema.add_field("body", DataType.VARCHAR, max_length=2_000, enable_analyzer=bm25)
    schema.add_field("vec", DataType.FLOAT_VECTOR, dim=DIMENSION)
    for each in fields:
        type_, options, _ = SCALARS[each]
        schema.add_field(each, type_, nullable=each in nullable, **options) if lite else (
            schema.add_field(each, type_, **options)
        )
    index = client.prepare_index_params()
    metric = dice.choice(["COSINE", "IP", "L2"])
    index.add_index("vec", index_type="FLAT", metric_type=metric, params={})
    if bm25:
        schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(Function("f", FunctionType.BM25, ["body"], ["sparse"]))
        index.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params={})
    client.create_collection(name, schema=schema, index_params=index)
    client.load_collection(name)
    count = dice.choice([1, 2, 7, 23])
    # A server keeps rows of one key side by side.
    twins = not (lite or auto) and count > 2 and dice.random() < 0.2
    filled = []
    for i in range(count):
        place = i // 2 if twins else i
        row: Row = {"body": f"{dice.choice(TEXTS)} {i}"}
        row["vec"] = [dice.uniform(-2, 2) for _ in range(DIMENSION)]
        if not auto:
            row["key"] = f"{dice.choice(TEXTS)[:9]}{place}" if is_text else place * 7919 - 5
            if twins:
                row["key"] = f"k{place}" if is_text else place
        row |= {each: SCALARS[each][2](dice) for each in fields}
        row |= dict.fromkeys((each for each in nullable if dice.random() < 0.5), None)
        if dynamic:
            row |= {each: value(dice) for each in dice.sample(NAMES, dice.randrange(4))}
        filled.append(row)
    client.insert(name, filled)
    return (
        f"{count} rows, {key_type.name} keys{', automatic' * auto}{', twins' * twins}"
        f"{', dynamic' * dynamic}{', BM25' * bm25}, {metric}, {', '.join(fields)}"
    )


def stored(connection: Connection, name: str) -> list[Row]:
    """Return all rows as they are."""
    shape = layout(connection, name)
    milvus_collections.count(connection, name)
    found = (row for part in walk(connection, name, fields=["*"], shape=shape) for row in part)
    return sorted(found, key=lambda row: str(row["key"]))


def check(connection: Connection, model: EmbeddingModel, seed: int) -> tuple[str, str]:
    """Run one case; return what it was, and what is wrong with it, "" when nothing is."""
    dice, name = random.Random(seed), f"undo_{seed}"
    connection.client.drop_collection(name)
    about = draw(connection, name, dice)
    try:
        return about, _wrong(connection, model, name, dice)
    finally:
        milvus_collections.drop(connection, name)


def _wrong(connection: Connection, model: EmbeddingModel, name: str, dice: random.Random) -> str:
    shape = layout(connection, name)
    before, counted = stored(connection, name), milvus_collections.count(connection, name)
    keys = [row["key"] for row in dice.sample(before, dice.randrange(1, len(before) + 1))]
    store = connection.store(name, model.embeddings)
    new_keys, has_twins = rows.why_fixed(connection, shape), len(before) < counted
    changes: list[rows.Change] = []
    if not (new_keys or has_twins) and shape.is_dynamic:
        cells = {dice.choice(NAMES): dice.choice([1, "x", None]), "added": 1}
        edits = [rows.Edit(key, {n: v for n, v in cells.items() if v or n == "added"})
                 for key in keys[:3]]  # fmt: skip
        changes.append(rows.update(connection, store, edits))
    matching = rows.matching(connection, name, keys=keys)
    if matching.why_final:
        try:
            rows.delete(connection, store, name, keys=keys)
        except InvalidInput:
            same = milvus_collections.count(connection, name) == counted
            return "" if same and has_twins else "a delete was refused for nothing"
        return "a delete that could not be undone was done"
    changes.append(rows.delete(connection, store, name, keys=keys))
    if milvus_collections.count(connection, name) != counted - len(keys):
        return "other rows were deleted than asked for"
    for change in reversed(changes):
        rows.undo(connection, change)
    after = stored(connection, name)
    if not new_keys:
        return "" if after == before else f"rows differ: {_first(before, after)}"
    # Said beforehand: Milvus gives new keys.
    if bool(matching.new_keys) != bool(new_keys):
        return "new keys were not announced"
    parts = [sorted(repr(sorted((n, repr(v)) for n, v in row.items() if n != "key"))
                    for row in each) for each in (before, after)]  # fmt: skip
    return "" if parts[0] == parts[1] else "rows differ beside their keys"


def _first(before: list[Row], after: list[Row]) -> str:
    pairs = zip(before, after, strict=False)
    differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
    return str(differing or f"{len(before)} rows, then {len(after)}")[:400]


def main() -> int:
    """Run the cases, print a line for each, and return how many were wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uri", default="", help="a server; Milvus Lite when empty")
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        uri = given.uri or str(Path(folder) / "undo.db")
        connection = open_connection(settings.load({"MILVUS_URI": uri}))
        model = open_model(settings.load({}))
        for seed in range(given.first, given.first + given.cases):
            about, what = check(connection, model, seed)
            wrong += bool(what)
            print(f"{seed}: {what or 'ok'} ({about})", flush=True)
        connection.close()
    print(f"{given.cases} cases, {wrong} wrong")
    return min(wrong, 99)


if __name__ == "__main__":
    sys.exit(main())
