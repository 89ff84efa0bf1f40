"""What the tests of workers let workers do."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from lib.errors import InvalidInput


def double(number: int) -> int:
    return 2 * number


_loaded_by: list[int] = []


def load_ahead() -> None:
    _loaded_by[:] = _loaded_by or [os.getpid()]


def loaded_by() -> int:
    return _loaded_by[0]


def process_id() -> int:
    return os.getpid()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def length(content: bytes) -> tuple[str, int]:
    return type(content).__name__, len(content)


def same(table: pd.DataFrame) -> pd.DataFrame:
    return table


def refuse(name: str) -> None:
    raise InvalidInput(f"{name} cannot be read.", kept="Nothing was changed.", next_step="Look.")


class Strange(Exception):
    """It cannot be made again from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("strange")


def raise_strange() -> None:
    raise Strange(1, 2)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def compute_for_ever() -> None:
    while True:
        sum(range(1_000_000))


def hold_the_interpreter() -> None:
    """Compute in native code that lets nothing else run, no signal handler either."""
    import re

    re.match(r"(a+)+$", "a" * 60 + "b")


def take(megabytes: int) -> int:
    return len(bytearray(megabytes << 20))


_held: list[bytearray] = []


def hold(megabytes: int) -> int:
    """Take memory and keep it."""
    _held.append(bytearray(megabytes << 20))
    return os.getpid()


def give(megabytes: int) -> Iterator[bytes]:
    for _ in range(megabytes):
        yield bytes(1 << 20)


def count_to(number: int) -> Iterator[int]:
    yield from range(number)


def count_slowly(pause_s: float) -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1
        time.sleep(pause_s)


def abort() -> None:
    os.abort()


def abort_without_memory() -> None:
    """End as a native library does to which memory is refused."""
    os.write(2, b"x" * 10_000 + b"\nmemory allocation of 4194304 bytes failed\n")
    os.abort()


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half(number: int, tell: Callable[[int], None]) -> str:
    for i in range(number):
        tell(i)
    return "done"


def ask_for_each(number: int, ask: Callable[[int], int]) -> list[int]:
    return [ask(i) for i in range(number)]


def ask_in_threads(threads: int, ask: Callable[[int], int]) -> list[int]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ask, range(13 * threads)))


def ask_and_take(megabytes: int, ask: Callable[[int], int]) -> None:
    taken = b"x" * (ask(megabytes) << 20)
    time.sleep(60)
    del taken


def tell_always_and_take(megabytes: int, tell: Callable[[int], None]) -> None:
    taken = bytearray(megabytes << 20)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        tell(len(taken))


def start_threads(number: int) -> int:
    over = threading.Event()
    threads = [threading.Thread(target=over.wait) for _ in range(number)]
    for thread in threads:
        thread.start()
    over.set()
    return len(threads)


def precedence() -> str:
    return Path("/proc/self/oom_score_adj").read_text().strip()


class Counter:
    """A service."""

    def __init__(self, start: int, closed_file: str = "") -> None:
        self.number = start
        self.closed_file = closed_file

    def add(self, number: int) -> int:
        self.number += number
        return self.number

    def refuse(self) -> None:
        refuse("It")

    def give_up(self) -> None:
        raise TimeoutError("Nobody answered.")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def abort(self) -> None:
        os.abort()

    def close(self) -> None:
        if self.closed_file:
            Path(self.closed_file).write_text("closed")


def broken_service() -> None:
    refuse("The store")
