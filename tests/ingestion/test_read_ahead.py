"""Reading ahead: order, the end, errors, and an early close."""

import asyncio
import itertools
import threading
from collections.abc import Iterator

import pytest

from lib.ingestion.read_ahead import ReadAhead


def _names_of_readers() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "read-ahead"]


def test_items_come_in_order_and_then_only_the_end() -> None:
    async def drain() -> list[int | None]:
        feed = ReadAhead(iter(range(5)), ahead=2)
        return [await feed.get() for _ in range(7)]

    assert asyncio.run(drain()) == [0, 1, 2, 3, 4, None, None]


def test_each_item_goes_to_one_of_several_and_each_of_them_gets_an_end() -> None:
    async def share() -> list[list[int]]:
        feed = ReadAhead(iter(range(100)), ahead=3)

        async def work() -> list[int]:
            mine = []
            while (item := await feed.get()) is not None:
                mine.append(item)
                await asyncio.sleep(0)
            return mine

        return await asyncio.wait_for(asyncio.gather(*(work() for _ in range(4))), 10)

    shares = asyncio.run(share())
    assert sorted(itertools.chain(*shares)) == list(range(100))
    assert len([share for share in shares if share]) > 1


def test_no_more_is_made_ahead_than_asked_for() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    async def look() -> int:
        feed = ReadAhead(items(), ahead=2)
        await feed.get()
        await asyncio.sleep(0.2)
        seen = len(made)
        await feed.close()
        return seen

    # One taken, two waiting, and one in the reader's hand.
    assert asyncio.run(look()) == 4


def test_what_making_raised_is_raised_where_it_is_awaited() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken file")

    async def drain() -> None:
        feed = ReadAhead(items(), ahead=2)
        assert await feed.get() == 1
        with pytest.raises(ValueError, match="broken file"):
            await feed.get()

    asyncio.run(drain())


def test_a_close_ends_the_thread_and_whoever_still_waits() -> None:
    opened = threading.Event()

    def items() -> Iterator[int]:
        opened.wait(5)
        yield 1

    async def leave() -> list[int | None]:
        feed = ReadAhead(items(), ahead=1)
        waiting = [asyncio.create_task(feed.get()) for _ in range(3)]
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(feed.close())
        await asyncio.sleep(0.05)
        opened.set()
        await closing
        return await asyncio.wait_for(asyncio.gather(*waiting), 2)

    assert None in asyncio.run(leave())
    assert _names_of_readers() == []
