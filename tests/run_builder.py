"""Runs made by hand, with known figures, for the tests of charts, reports and pages."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lib.results.trials import Call, Run, Trial

ENVIRONMENT = {
    "time": "2026-01-31T12:00:00+00:00",
    "backend": "server",
    "backend_label": "Milvus server",
    "milvus_version": "2.3.5",
    "distance": "this machine",
    "embedding": "bundled/all-MiniLM-L6-v2-static-256",
    "embedding_label": "Bundled model (offline)",
    "simulated_latency_ms": 450.0,
    "packages": {"pymilvus": "3.0.2"},
    "notes": ["The load: a closed loop makes its next call when one has ended."],
}
SETTINGS = {
    "operations": ["add_documents"],
    "strategies": ["sync_loop", "gather"],
    "counts": [100],
    "repeats": 3,
    "rows": 1000,
    "k": 3,
    "preset": "tutorial",
    "command": "python -m lib.benchmark --preset tutorial --output run.json",
}


# A trial's fields, where a test says nothing else.
USUAL: dict[str, Any] = {
    "operation": "similarity_search_by_vector",
    "concurrency": None,
    "repeat": 0,
    "order": 0,
    "warmup": False,
    "verified": True,
    "verification": "",
    "loop_lag_ms_max": 1.0,
    "loop_lag_ms_p99": 1.0,
    "cpu_s": 0.0,
}


def trial_of(strategy: str, calls: Iterable[Call], **fields: Any) -> Trial:
    """Return a trial of these calls; it is as long and as large as they are unless it is said."""
    calls = tuple(calls)
    told = {"count": len(calls), "wall_s": max(call.end_s for call in calls)} | fields
    return Trial(**(USUAL | {"strategy": strategy, "calls": calls} | told))


def trial(
    wall_s: float,
    repeat: int = 0,
    strategy: str = "sync_loop",
    *,
    durations: Iterable[float] = (),
    errors: Iterable[str] = (),
    lag_ms: float | None = None,
    **fields: Any,
) -> Trial:
    """Return an `add_texts` of four rows with calls of these lengths, and some that failed."""
    failed = [Call(0.0, 9.0, 0.0, False, error) for error in errors]
    calls = [Call(0.0, duration, duration / 4, True, None) for duration in durations or [wall_s]]
    told = {"operation": "add_texts", "concurrency": 1, "count": 4, "order": repeat}
    told |= {"verified": not failed, "loop_lag_ms_max": lag_ms, "loop_lag_ms_p99": lag_ms}
    return trial_of(strategy, [*calls, *failed], wall_s=wall_s, repeat=repeat, **(told | fields))


def make_trial(
    strategy: str = "sync_loop",
    *,
    count: int = 100,
    concurrency: int | None = 1,
    call_s: float = 0.1,
    embed_s: float = 0.08,
    lag_ms: float | None = None,
    **fields: Any,
) -> Trial:
    """Return a trial: calls end to end where one is in flight, all at once otherwise.

    Times are whole microseconds, as a run file keeps them.
    """
    one_by_one = concurrency == 1
    calls = tuple(
        Call(
            start_s=round(i * call_s, 6) if one_by_one else 0.0,
            end_s=round((i + 1) * call_s if one_by_one else call_s, 6),
            embed_s=embed_s,
            ok=True,
            error=None,
        )
        for i in range(1 if strategy == "one_batch" else count)
    )
    told = {"operation": "add_documents", "concurrency": concurrency, "count": count, "cpu_s": 0.01}
    told |= {"verification": f"{count} of {count} as expected"}
    told |= {"loop_lag_ms_max": lag_ms, "loop_lag_ms_p99": lag_ms}
    return trial_of(strategy, calls, **(told | fields))


def make_run(
    *trials: Trial,
    repeats: int = 3,
    environment: dict[str, object] | None = None,
    settings: dict[str, object] | None = None,
    partial: bool = False,
) -> Run:
    """Return a run of the given trials; by default loop and gather, exactly 50 times apart.

    The wall times of both sides grow by 1 % a repeat, so that the paired interval is a point.
    """
    made = trials or tuple(
        trial
        for repeat in range(repeats)
        for trial in (
            make_trial(repeat=repeat, call_s=0.1 * 1.01**repeat),
            make_trial(
                "gather", concurrency=None, repeat=repeat, call_s=0.2 * 1.01**repeat, lag_ms=12.0
            ),
        )
    )
    return Run(
        environment={**ENVIRONMENT, **(environment or {})},
        settings={**SETTINGS, **(settings or {})},
        trials=made,
        partial=partial,
        note="Stopped." if partial else "",
    )


SERVICE_SETTINGS = {
    "operations": ["similarity_search"],
    "strategies": ["service_blocking", "service_def", "service_async"],
    "concurrency": [50],
    "seconds": 5.0,
    "experiment": "service",
    "preset": "service",
    "embedding_latency_ms": 100.0,
}


def make_served_trial(
    strategy: str,
    *,
    users: int = 50,
    repeat: int = 0,
    call_s: float = 0.125,
    wait_s: float = 0.02,
    seconds: float = 5.0,
    pings: int = 100,
    threads: int = 0,
) -> Trial:
    """Return a trial of a service: each user's calls end to end, all of one length.

    The neighbour's requests are due every 50 ms; the last one waits `wait_s`, the others half.
    Times are whole ten microseconds, as a run file keeps them.
    """
    rounds = max(round(seconds / call_s), 1)
    calls = tuple(
        Call(round(i * call_s, 5), round((i + 1) * call_s, 5), 0.0, ok=True, error=None)
        for i in range(rounds)
        for _ in range(users)
    )
    beats = tuple(
        Call(
            round(i * 0.05, 5),
            round(i * 0.05 + (wait_s if i == pings - 1 else wait_s / 2), 5),
            0.0,
            ok=True,
            error=None,
            due_s=round(i * 0.05, 5),
        )
        for i in range(pings)
    )
    made = make_trial(strategy, operation="similarity_search", repeat=repeat, concurrency=users)
    return replace(
        made,
        count=0,
        seconds=seconds,
        wall_s=calls[-1].end_s,
        verification="all as expected",
        calls=calls,
        pings=beats,
        served_threads=threads,
        served_mb=150.0,
        served_cpu_s=1.5,
    )


def make_service_run(repeats: int = 3) -> Run:
    """Return a run of a service whose ways have known figures, which grow by 1 % a repeat.

    Blocking: 50 requests in 5 s, neighbour 5 s. Plain def: 400/s, 30 ms. Awaited: 400/s, 20 ms.
    """
    trials = [
        make_served_trial(strategy, repeat=repeat, call_s=call_s, wait_s=wait_s * 1.01**repeat,
                          threads=threads)
        for repeat in range(repeats)
        for strategy, call_s, wait_s, threads in (
            ("service_blocking", 5.0, 5.0, 1),
            ("service_def", 0.125, 0.03, 40),
            ("service_async", 0.125, 0.02, 0),
        )
    ]  # fmt: skip
    return make_run(
        *trials,
        settings=SERVICE_SETTINGS,
        environment={"simulated_latency_ms": 100.0},
    )


def make_chain_run(repeats: int = 3) -> Run:
    """Return a run of a chain that answers after 1 s, its first token after 0.25 s; 1 and 4 ask."""
    trials = [
        replace(
            make_trial(
                strategy, operation="similarity_search", count=count, concurrency=limit,
                repeat=repeat, call_s=1.0,
            ),
            first_token_s=(0.25,) * count,
        )
        for repeat in range(repeats)
        for count in (1, 4)
        for strategy, limit in (("sync_loop", 1), ("gather", None))
    ]  # fmt: skip
    return make_run(
        *trials,
        settings=SETTINGS | {"experiment": "chain", "preset": "chain"},
        environment={"simulated_latency_ms": 100.0, "chat_ms": 600.0},
    )
