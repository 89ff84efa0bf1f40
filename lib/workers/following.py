"""Work in a worker that a job stands for, and what is cleaned behind the scenes after it."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from lib.jobs import Job, Progress
from lib.workers import work
from lib.workers.work import Limits


def run(
    function: Callable[..., Any],
    *arguments: Any,
    job: Job,
    limits: Limits,
    modules: tuple[str, ...],
    check: Callable[[], None],
    on_told: Callable[[Any], None],
    answers: Mapping[str, Callable[..., Any]],
) -> Any:
    """Run a module's function in a worker and return what it returns, or raise what it raises.

    The function gets `tell` and `ask`. A Progress that it tells becomes the job's, all else goes to
    `on_told`. It asks by a name and arguments, which go to one of the `answers`. Otherwise like
    `work.run`.
    """

    def hear(said: Any) -> None:
        if isinstance(said, Progress):
            job.progress = said
        else:
            on_told(said)

    return work.run(
        function,
        *arguments,
        limits=limits,
        modules=modules,
        check=check,
        on_progress=hear,
        on_question=lambda question: answers[question[0]](*question[1:]),
    )


_cleaning: list[threading.Thread] = []


def clean_beside(clean: Callable[[], None]) -> None:
    """Clean in a thread; the process does not end before that is done."""
    thread = threading.Thread(target=clean, name="cleaning")
    _cleaning.append(thread)
    thread.start()


def wait_for_cleaning(timeout: float = 40.0) -> None:
    """Wait until what was stopped has dropped its collections; before closing the connection."""
    for thread in list(_cleaning):
        thread.join(timeout)
        if not thread.is_alive():
            _cleaning.remove(thread)
