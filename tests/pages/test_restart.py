"""A restarted app knows its visitors: their rows, their runs and what they can still put back."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from lib.runs.store import RunStore
from scripts import soak
from scripts.soak import Record, Visitor
from tests.run_builder import make_run

DELETED, KEPT, RUN = "planted1deleted", "planted2kept", "A run of mine"


def says(visitor: Visitor, text: str) -> bool:
    """Say whether a text is on the visitor's page, words of the question marked in it or not."""
    return any(
        text in re.sub(r":orange-background\[(.*?)\]", r"\1", said) for said in visitor.texts
    )


async def ingest(visitor: Visitor, word: str) -> None:
    """Ingest one row that begins with a word."""
    await visitor.act("open", "ingestion")
    await visitor.act("open", "ingestion", ingest_source="Pasted text")
    await visitor.act("open", "ingestion", ingest_pasted=f"{word} is here.")
    await visitor.act("ingest", "ingestion", visitor.query, ingest_start=None)
    assert await visitor.until("ingestion", "now holds")


async def first_visit(url: str, record: Record) -> str:
    """Ingest two rows, delete one, and return the cookie."""
    async with soak.visit(url, 1, record, time.perf_counter() + 100, keeps_cookie=True) as visitor:
        await visitor.act("open", "")
        await ingest(visitor, DELETED)
        await visitor.act("open", "collections")
        await visitor.act("delete", "collections", delete_expr=f'text like "{DELETED}%"')
        await visitor.act("delete", "collections", delete_start=None)
        assert says(visitor, "Deleted 1 row")
        await ingest(visitor, KEPT)
        return visitor.cookie


async def second_visit(url: str, record: Record, cookie: str) -> tuple[bool, bool, bool, bool]:
    """Return whether the kept row, an undo and a run are found, and whether the undo worked."""
    record.secrets[RUN] = 0
    async with soak.session(url, cookie) as socket:
        visitor = Visitor(1, socket, record, 0.0)
        await visitor.act("open", "")
        await visitor.act("open", "runs")
        has_run = any(RUN in found for found in record.leaks)  # in a table, which is no text
        # By a link to the question: a page that is open has an example's in its place.
        query = f"q={KEPT}"
        await visitor.act("open", "search", query)
        await visitor.act("search", "search", query, lab_collection_0="my_documents")
        finds = says(visitor, f"{KEPT} is here")
        await visitor.act("open", "collections")
        has_undo = "rows_undo_start" in visitor.widgets and says(visitor, "Deleted 1 row")
        if not has_undo:
            return finds, has_undo, has_run, False
        await visitor.act("undo", "collections", rows_undo_start=None)
        put_back = says(visitor, "Put back 1 row")
        query = f"q={DELETED}"
        await visitor.act("open", "search", query)
        await visitor.act("search", "search", query, lab_collection_0="my_documents")
        return finds, has_undo, has_run, put_back and says(visitor, f"{DELETED} is here")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_a_restart_a_cookie_finds_all_that_is_its_visitors_and_a_forged_one_nothing(
    tmp_path: Path,
) -> None:
    record = Record()
    with soak.app(tmp_path) as (url, _pid, _log):
        cookie = asyncio.run(first_visit(url, record))
    _name, _, value = cookie.partition("=")
    expires, own, _signature = value.split(".")
    folder = tmp_path / "data" / "runs" / f"visitor-{expires}-{own}"
    RunStore(folder).save(make_run(), name=RUN)
    forged = cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
    with soak.app(tmp_path) as (url, _pid, log):
        # Each in a session of its own; the forged one first, while there is an undo to find.
        stranger = asyncio.run(second_visit(url, Record(), forged))
        mine = asyncio.run(second_visit(url, record, cookie))
        text = log.read_text(encoding="utf-8")
    assert stranger == (False, False, False, False)
    assert mine == (True, True, True, True)
    assert "Traceback" not in text
    assert not any(secret in text for secret in (own, value, DELETED, KEPT))
