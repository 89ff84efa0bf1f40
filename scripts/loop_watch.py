"""How late an event loop is, and which call made it so: for the soak, as looking has a price.

A watch looks 50 times a second, which is seen in what is measured.
"""

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from lib.event_loop import EventLoop

LOOK_EVERY_S = 0.02
HELD_S = 0.05


@dataclass(frozen=True)
class Held:
    """The loop woke `late_s` too late. Its own thread computed for `own_s` of that, both in s.

    For `collected_s` the interpreter stood still and collected garbage, in whichever thread.
    `doing` names the function on the loop that was running then; it is empty where none was, and
    the loop's thread waited for the processor or the interpreter.
    """

    late_s: float
    own_s: float = 0.0
    doing: str = ""
    collected_s: float = 0.0

    @property
    def is_by_a_call(self) -> bool:
        """Say whether a call on the loop held it, by computing or by waiting."""
        held_s = self.late_s if self.doing else self.own_s
        return held_s - self.collected_s > HELD_S


class LoopWatch:
    """Measures from now on how late a loop is; tells the worst of each `every_s`, in seconds.

    Only a delay above `HELD_S` is told. A delay by a call on the loop is told before a longer one,
    which a busy processor can cause as well. A second thread looks what the loop does when it is
    late.
    """

    def __init__(
        self, loop: EventLoop, on_held: Callable[[Held], None], every_s: float = 10.0
    ) -> None:
        self.longest_held_s = 0.0
        self._loop = loop
        self._due = float("inf")
        self._doing = ""
        self._collecting_since = self._collected_s = 0.0
        gc.callbacks.append(self._note_collection)
        loop.submit(self._look(on_held, every_s))
        threading.Thread(target=self._look_inside, name="lab-loop-watch", daemon=True).start()

    async def _look(self, on_held: Callable[[Held], None], every_s: float) -> None:
        while True:
            worst, ends = Held(0.0), self._loop.loop.time() + every_s
            while self._loop.loop.time() < ends:
                self._doing, began_s, collected_s = "", time.thread_time(), self._collected_s
                self._due = self._loop.loop.time() + LOOK_EVERY_S
                await asyncio.sleep(LOOK_EVERY_S)
                now = Held(
                    self._loop.loop.time() - self._due,
                    time.thread_time() - began_s,
                    self._doing,
                    self._collected_s - collected_s,
                )
                # A call on the loop is told before a longer wait that nobody caused.
                worst = max(worst, now, key=lambda held: (held.is_by_a_call, held.late_s))
                self.longest_held_s = max(self.longest_held_s, now.late_s)
            if worst.late_s > HELD_S:
                on_held(worst)

    def _note_collection(self, phase: str, _about: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self._collected_s += time.perf_counter() - self._collecting_since

    def _look_inside(self) -> None:
        while not self._loop.is_closed:
            time.sleep(LOOK_EVERY_S)
            if self._loop.loop.time() - self._due > HELD_S and not self._doing:
                frame = sys._current_frames().get(self._loop.thread.ident or 0)
                self._doing = _callback(frame)
        gc.callbacks.remove(self._note_collection)


def _callback(frame: FrameType | None) -> str:
    """Return the innermost function of the callback that a loop's thread runs; empty for none."""
    innermost, inside = "", frame
    while inside is not None:
        code = inside.f_code
        if code is asyncio.Handle._run.__code__:
            return innermost
        if code is LoopWatch._look.__code__:
            return ""
        innermost = innermost or f"{inside.f_globals.get('__name__')}.{code.co_name}"
        inside = inside.f_back
    return ""
