"""Files are read in a worker: what they hold ends that file only, in one sentence with its name."""

import os
import signal

import psutil

from lib.documents import loaders
from lib.documents.problems import Problems
from lib.documents.sources import Part, Upload
from lib.workers import host
from lib.workers.work import Limits

MEGABYTE = 1 << 20
# A busy computer is no failure.
ROOMY = Limits(seconds=100, memory_mb=512, what="it", done="read")
LINES = b"n,text\n" + b"".join(b"%d,a text of a row\n" % i for i in range(300_007))


def read(name: str, content: bytes, limits: Limits = ROOMY) -> tuple[list[Part], str]:
    """Return a file's parts, and its problems as one text."""
    problems = Problems()
    parts = list(loaders.read(Upload.of_bytes(name, content), problems, 200 * MEGABYTE, limits))
    return parts, "; ".join(map(str, problems.kept))


def limited(**limits: float) -> Limits:
    return Limits(what="it", done="read", **limits)  # type: ignore[arg-type]


def test_a_file_is_read_in_another_process_part_by_part() -> None:
    parts, problems = read("rows.csv", LINES)
    assert (len(parts), problems) == (300_007, "")
    assert parts[-1].values == {"n": 300006, "text": "a text of a row"}
    assert parts[0].share < 0.1 < 0.9 < parts[-1].share


def test_problems_arrive_with_the_part_before_which_they_were_found() -> None:
    problems = Problems()
    content = b"n,text\n1,one\nbroken\n2,two\n" + b"3,three\n" * 50_000 + b"broken\n"
    parts = loaders.read(Upload.of_bytes("a.csv", content), problems, MEGABYTE, ROOMY)
    assert next(parts).values["n"] == 1
    assert problems.total <= 1
    assert sum(1 for _ in parts) == 50_001
    assert problems.total == 2
    assert [problem.place for problem in problems.kept] == ["line 3", "line 50,005"]


def test_memory_and_time_end_a_file_in_a_sentence_with_its_name() -> None:
    big = b'[{"text":"a"}' + b',{"text":"a"}' * 400_000 + b"]"
    before = psutil.Process().memory_info().rss
    parts, problems = read("big.json", big, limited(memory_mb=24))
    assert (parts, problems) == ([], "big.json: it needs more than 24 MB to be read")
    _, problems = read("rows.csv", LINES * 3, limited(seconds=0.01))
    assert problems == "rows.csv: it needs more than 0.01 s to be read"
    assert psutil.Process().memory_info().rss - before < 50 * MEGABYTE


def test_what_no_loader_thought_of_ends_its_file_only() -> None:
    _, problems = read("a.csv", b"text\n" + b"[" * 100)
    assert problems == ""
    deep = b"[" * 100_000 + b"]" * 100_000
    parts, problems = read("deep.json", deep)
    assert parts == []
    assert problems.startswith("deep.json: ")
    assert "Traceback" not in problems


def test_a_reader_that_is_killed_is_said() -> None:
    problems = Problems()
    parts = loaders.read(Upload.of_bytes("rows.csv", LINES), problems, 200 * MEGABYTE, ROOMY)
    next(parts)
    for child in psutil.Process(host.shared().pid).children():
        os.kill(child.pid, signal.SIGKILL)
    assert sum(1 for _ in parts) < 300_006
    assert "rows.csv: it could not be read" in str(problems.kept[0])
    assert len(read("rows.csv", LINES)[0]) == 300_007
