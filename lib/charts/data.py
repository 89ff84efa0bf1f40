"""A run's analysis as tables, one for each chart."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from lib.results import advice, service, summaries
from lib.results.analysis import Analysis
from lib.results.catalogue import BASELINE, STRATEGIES
from lib.results.comparison import ComparedCell
from lib.results.groups import Focus, group_label
from lib.results.published import PUBLISHED, published_s
from lib.results.summaries import CellSummary
from lib.results.trials import COMPARE, SERVICE, Call, CellKey, Run, Trial
from lib.words import counted, duration_text, ratio_text

# The browser gets at most this many bars a lane: more would be thinner than a pixel.
MAX_LANE_CALLS = 100
# The race shows at most this many cells a lane; above it, a cell stands for several calls.
MAX_RACE_CELLS = 100
# Points of one cumulative curve.
MAX_CURVE_POINTS = 200
MARKED_PERCENTILES = (50, 95, 99)
# Of a timeline's height, the room above a lane for its name.
LANE_GAP = 0.2
# The families that stand side by side, in the order in which they stand everywhere.
STAIR = 0.05  # of a lane's height, by how much a stair of the loop is thicker than its call
LANES = ("loop", "threads", "async", "batch")
# Those of them that a timeline draws: the staircase and the block.
STAIRCASE = ("loop", "async")
# The parts of a timeline; what a chain's call does besides is more.
EMBEDDING, REST, CHAIN_REST = "embedding", "Milvus and client", "Milvus, chat model and client"
LOOP_HELD = "event loop held (red)"
# What is drawn of a neighbour's requests, which are due every 50 ms.
HEARTBEAT_S = 10.0
# Those answered later are beats that were missed: what held them answers many at once.
IN_TIME_S = 0.25
HELD, CONFIRMED, NOT_HELD = "held once", "held, confirmed", "did not hold"
NOT_VALID = "not valid: client too slow"
VERDICTS = (CONFIRMED, HELD, NOT_HELD, NOT_VALID)


def _names(key: CellKey) -> dict[str, Any]:
    """Return a cell's names in a table: its group, its strategy and the strategy's family.

    The family, one of FAMILIES, is the one thing that colour means.
    """
    return {
        "group": group_label(key.operation, key.count),
        "strategy": summaries.cell_label(key),
        "family": STRATEGIES[key.strategy].family,
    }


def _table(rows: list[dict[str, Any]], columns: str) -> pd.DataFrame:
    """Return rows as a table that has these columns even where there is no row."""
    return pd.DataFrame(rows, columns=columns.split())


def wall_times(found: Analysis) -> pd.DataFrame:
    """Return one row per cell: the geometric mean of its wall times in seconds.

    `share` is its part of the longest time in its group: operations lie up to ten thousand times
    apart, and a bar is never drawn on a log axis. `text` is the time with its gain.
    """
    rows = [
        {
            **_names(cell.cell),
            "wall_s": cell.geomean_wall_s,
            "count": cell.count,
            "repeats": cell.repeats,
            "text": " · ".join(
                part for part in (duration_text(cell.geomean_wall_s), cell.interval_text) if part
            ),
        }
        for cell in found.cells
        # Timed trials all last as long as they were asked to.
        if cell.geomean_wall_s and cell.count
    ]
    table = _table(rows, "group strategy family wall_s count repeats text")
    longest = table.groupby("group")["wall_s"].transform("max")
    return table.assign(share=table["wall_s"] / longest)


def speedups(found: Analysis) -> pd.DataFrame:
    """Return one row per compared cell, and one per figure that the tutorial published for it.

    `source` is 'measured' or 'published'; bounds are missing below three repeats.
    """
    compared = [cell for cell in found.cells if cell.speedup is not None]
    rows = [
        {
            **_names(cell.cell),
            "ratio": cell.speedup,
            "low": cell.speedup_low,
            "high": cell.speedup_high,
            "source": "measured",
            "text": cell.interval_text,
        }
        for cell in compared
    ]
    for cell in compared:
        published = PUBLISHED.get((cell.operation, cell.count))
        if published is not None and cell.strategy == "gather":
            rows.append(
                {
                    **_names(cell.cell),
                    "ratio": published.speedup,
                    "source": "published",
                    "text": f"tutorial {ratio_text(published.speedup)}",
                }
            )
    table = _table(rows, "group strategy family ratio low high source text")
    return table.astype({"low": float, "high": float})


def lanes(found: Analysis, focus: Focus) -> tuple[Trial, ...]:
    """Return a trial of each way of a group: Loop, Threads, Async and One batch, in this order.

    Of several limits it is the fastest one, of async the one without a limit. Drawn is the repeat
    that is nearest to the times that are shown; of each way its own, where they share none. None
    of a service: its users never begin together.
    """
    if found.run.experiment == SERVICE:
        return ()
    sides = [
        {
            trial.repeat: (abs(math.log(trial.wall_s / (cell.geomean_wall_s or 1.0))), trial)
            for trial in found.trials[cell.cell]
            if trial.counts and trial.wall_s
        }
        for cell in _ways(found, focus)
    ]
    sides = [side for side in sides if side]
    shared = set.intersection(*map(set, sides)) if sides else set()
    if not shared:
        return tuple(min(side.values(), key=lambda each: each[0])[1] for side in sides)
    nearest = min(sorted(shared), key=lambda repeat: sum(side[repeat][0] for side in sides))
    return tuple(side[nearest][1] for side in sides)


def _ways(found: Analysis, focus: Focus) -> list[CellSummary]:
    """Return the cell of each way of a group that is drawn beside the others."""
    timed = [cell for cell in found.cells_of(focus) if cell.geomean_wall_s]
    keys = [cell.cell for cell in timed]
    loop = next((summaries.baseline_of(key, keys) for key in keys), None)

    advised = {sweep.advised.level for sweep in found.sweeps if sweep.is_limit}

    def rank(cell: CellSummary) -> tuple[bool, float]:
        is_preferred = cell.cell == loop or cell.strategy == "gather"
        is_advised = cell.concurrency in advised
        # Timed trials all last as long as they were asked to.
        return (
            not (is_preferred or is_advised),
            (cell.geomean_wall_s or 0.0) if cell.count else -(cell.throughput_per_s or 0.0),
        )

    # A loop of batches is another baseline: beside it each way is drawn with and without batches.
    loops = {cell.batch for cell in timed if cell.strategy == BASELINE}
    ways = []
    for family in LANES:
        mine = [cell for cell in timed if STRATEGIES[cell.strategy].family == family]
        for batch in sorted(loops) if len(loops) > 1 else [None]:
            ways += sorted((each for each in mine if batch in (None, each.batch)), key=rank)[:1]
    return ways


def shown_time(found: Analysis, trial: Trial) -> float:
    """Return the time that is shown of a trial's way, in seconds: of all its repeats together."""
    cell = found.cell(trial.cell)
    return (cell and cell.geomean_wall_s) or trial.wall_s


def waterfall(found: Analysis, focus: Focus, only: Sequence[CellKey] = ()) -> pd.DataFrame:
    """Return the calls of two lanes as bars from start to end, in seconds; `only` of some cells.

    Each call is two rows, embedding first and then Milvus and client; `row` counts bars from the
    top over both lanes, all of which are equally high. Below a lane are the spans in which the
    event loop was held. Of long lanes every n-th call is kept, in the order they started; `shown`
    and `total` say how many.
    """
    rows = []
    row = 0.0
    drawn = [
        trial
        for trial in lanes(found, focus)
        if STRATEGIES[trial.strategy].family in STAIRCASE and (not only or trial.cell in only)
    ]
    most = min(max((len(trial.calls) for trial in drawn), default=0), MAX_LANE_CALLS)
    # Room for the name of the next lane: the more lanes, the lower each is, and names are not.
    gap = max(2.0, LANE_GAP * most * max(len(drawn), 2))
    for trial in drawn:
        order = sorted(range(len(trial.calls)), key=lambda i: trial.calls[i].start_s)
        kept = _evenly(order, MAX_LANE_CALLS)
        each = most / max(len(kept), 1)
        for i in kept:
            call = trial.calls[i]
            split = min(call.start_s + call.embed_s, call.end_s)
            for part, start, end in (
                (EMBEDDING, call.start_s, split),
                (CHAIN_REST if found.chain else REST, split, call.end_s),
            ):
                rows.append(
                    {
                        "lane": summaries.cell_label(trial.cell),
                        "family": STRATEGIES[trial.strategy].family,
                        "row": row,
                        # Calls one after another do not hide each other when drawn thick.
                        "row_end": row + each + (STAIR if trial.concurrency == 1 else 0) * most,
                        "call": i,
                        "part": part,
                        "start_s": start,
                        "end_s": end,
                        "ok": call.ok,
                        "shown": len(kept),
                        "total": len(trial.calls),
                        "wall_s": trial.wall_s,
                        "shown_s": shown_time(found, trial),
                        "repeat": trial.repeat + 1,
                    }
                )
            row += each
        if trial.held_s and kept:
            top, row = row + 1, row + 1 + max(2.0, LANE_GAP * most / 2)
            below = {"part": LOOP_HELD, "family": "blocking", "row": top, "row_end": row}
            rows += [
                {**rows[-1], **below, "start_s": start, "end_s": end} for start, end in trial.held_s
            ]
        row += gap
    return _table(
        rows,
        "lane family row row_end call part start_s end_s ok shown total wall_s shown_s repeat",
    )


def _evenly(items: Sequence[int], most: int) -> list[int]:
    if len(items) <= most:
        return list(items)
    step = (len(items) - 1) / (most - 1)
    return [items[round(i * step)] for i in range(most)]


def race(found: Analysis, focus: Focus) -> pd.DataFrame:
    """Return the race's cells: when each is begun and done, in seconds from the start.

    A cell is one call, or `per_cell` calls that finished one after another; cells of a lane stand
    in the order in which they finish, so that the lane fills from the left.
    """
    rows = []
    for trial in lanes(found, focus):
        ended = sorted(trial.calls, key=lambda call: call.end_s)
        per_cell = -(-len(ended) // MAX_RACE_CELLS)
        # A batched call stands for many.
        stands_for = trial.count if STRATEGIES[trial.strategy].is_batch else 1
        for cell in range(0, len(ended), per_cell):
            calls = ended[cell : cell + per_cell]
            rows.append(
                {
                    "lane": summaries.cell_label(trial.cell),
                    "family": STRATEGIES[trial.strategy].family,
                    "from_call": cell * stands_for,
                    "to_call": (cell + len(calls)) * stands_for,
                    "start_s": min(call.start_s for call in calls),
                    "end_s": calls[-1].end_s,
                    "per_cell": per_cell,
                    "wall_s": trial.wall_s,
                    "shown_s": shown_time(found, trial),
                    "repeat": trial.repeat + 1,
                }
            )
    return _table(
        rows, "lane family from_call to_call start_s end_s per_cell wall_s shown_s repeat"
    )


def _one_limit_each(found: Analysis, focus: Focus) -> list[tuple[CellSummary, list[Call]]]:
    """Return each strategy's cell with the most throughput: a chart has no room for all limits.

    Beside it are the calls that count: successful ones of verified trials.
    """
    best: dict[str, CellSummary] = {}
    for cell in found.cells_of(focus):
        kept = best.setdefault(cell.strategy, cell)
        if (cell.throughput_per_s or 0) > (kept.throughput_per_s or 0):
            best[cell.strategy] = cell
    return [
        (cell, [call for t in found.trials[cell.cell] if t.verified for call in t.calls if call.ok])
        for cell in best.values()
    ]


def latencies(found: Analysis, focus: Focus) -> pd.DataFrame:
    """Return each strategy's cumulative curve: the share of calls at most so many ms long.

    Rows with a `mark` are the percentiles to label, with their sample size; of fewer than 500 calls
    the slowest is marked in the place of the p99. A batched call is not comparable with single
    calls and is left out. Of several limits the fastest is kept.
    """
    rows = []
    for cell, calls in _one_limit_each(found, focus):
        if not calls or STRATEGIES[cell.strategy].is_batch:
            continue
        ordered = sorted(1000 * call.latency_s for call in calls)
        base = {**_names(cell.cell), "samples": len(ordered), "mark": ""}
        rows += [
            {**base, "latency_ms": ordered[i], "share": (i + 1) / len(ordered)}
            for i in _evenly(range(len(ordered)), MAX_CURVE_POINTS)
        ]
        marks = {f"p{q}": (summaries.percentile(ordered, q), q / 100) for q in _marked(ordered)}
        if len(ordered) < summaries.P99_SAMPLES:
            marks[f"slowest of {len(ordered):,}"] = (ordered[-1], 1.0)
        rows += [
            {**base, "latency_ms": latency_ms, "share": share, "mark": mark}
            for mark, (latency_ms, share) in marks.items()
        ]
    return _table(rows, "strategy family samples latency_ms share mark")


def _marked(latencies: Sequence[float]) -> tuple[int, ...]:
    """Return the percentiles that so many samples can mark."""
    enough = len(latencies) >= summaries.P99_SAMPLES
    return tuple(q for q in MARKED_PERCENTILES if q < 99 or enough)


def sweep(found: Analysis, focus: Focus) -> pd.DataFrame:
    """Return throughput and latency per concurrency limit, with the knee of each strategy marked.

    The knee is the lowest limit that no higher one is measurably faster than, if it is itself
    measurably faster than the lowest limit tried. Measurably: the interval of the ratio, corrected
    for the number of limits, lies above 1. Where the intervals do not show that, there is no knee.
    """
    # The limits that a search for a rate or an overload tries are no sweep.
    is_sweep = found.run.experiment == COMPARE
    by_batch = any(cell.batch > 1 for cell in found.cells_of(focus))
    rows = []
    for cell in found.cells_of(focus):
        limited = STRATEGIES[cell.strategy].uses_limit
        if not (is_sweep and limited and cell.concurrency and cell.throughput_per_s):
            continue
        rows.append(
            {
                "strategy": STRATEGIES[cell.strategy].title,
                "family": STRATEGIES[cell.strategy].family,
                "limit": cell.batch if by_batch else cell.concurrency,
                "throughput_per_s": cell.throughput_per_s,
                "p50_ms": cell.p50_ms,
                "p95_ms": cell.p95_ms,
                "p99_ms": cell.p99_ms,
                "samples": cell.samples,
                "cell": cell.cell,
            }
        )
    columns = "strategy family limit throughput_per_s p50_ms p95_ms p99_ms samples cell"
    frame = _table(rows, columns).sort_values(["strategy", "limit"])
    # One limit is no sweep, and neither is a batch beside single rows.
    least = advice.MIN_LEVELS if by_batch else 2
    several = frame.groupby("strategy")["limit"].transform("size") >= least
    frame = frame[several].reset_index(drop=True)
    by_strategy = frame.groupby("strategy", sort=False)
    knees = {_knee(list(mine["cell"]), found.trials) for _, mine in by_strategy}
    frame["is_knee"] = [cell in knees for cell in frame["cell"]]
    frame["unit"] = "rows a call" if by_batch else "in flight"
    frame["thing"] = "rows" if by_batch else "calls"
    advised = {
        (STRATEGIES[one.strategy].title, one.advised.level)
        for one in found.sweeps
        if one.operation == focus.operation and one.is_decided
    }
    # A knee beside advice that says otherwise, or that there is too little evidence, would confuse.
    judged = [
        STRATEGIES[one.strategy].title for one in found.sweeps if one.operation == focus.operation
    ]
    points = list(zip(frame["strategy"], frame["limit"], strict=True))
    frame["is_advised"] = [point in advised for point in points]
    # Where a level is advised, that is the point to mark.
    frame["is_marked"] = frame["is_advised"] | (frame["is_knee"] & ~frame["strategy"].isin(judged))
    frame["mark"] = frame["is_advised"].map({True: "use: ", False: "knee: "})
    return frame.drop(columns="cell")


def _knee(cells: list[CellKey], trials: Mapping[CellKey, Sequence[Trial]]) -> CellKey | None:
    """Return the knee among a strategy's cells, which stand in the order of their limits."""

    def is_faster(one: CellKey, than: CellKey) -> bool:
        gain = summaries.gain(trials[than], trials[one])
        return gain is not None and gain.verdict(len(cells)) == summaries.FASTER

    for i, cell in enumerate(cells):
        if not any(is_faster(higher, cell) for higher in cells[i + 1 :]):
            # The highest limit tried may still be on the way up.
            return cell if i < len(cells) - 1 and is_faster(cell, cells[0]) else None
    return None


def rates(found: Analysis) -> pd.DataFrame:
    """Return one row per rate that was tried: its p99 in ms, what it showed and why."""
    rate = found.rate
    rows = [
        {
            "rate_per_s": level.rate_per_s,
            "p99_ms": level.p99_ms,
            "verdict": _rate_verdict(level),
            "reason": level.reason,
            "family": "async" if level.held and not _is_above_failed(level, rate) else "neither",
            "limit_ms": rate.p99_ms,
            "calls": level.calls,
            "held": f"{level.held_trials} of {level.trials}",
            "late": level.late,
            "is_found": level.rate_per_s == rate.rate_per_s,
            "finding": rate.sentence,
        }
        for level in (rate.levels if rate else ())
        if rate and level.p99_ms > 0
    ]
    return _table(
        rows,
        "rate_per_s p99_ms verdict reason family limit_ms calls held late is_found finding",
    )


def _is_above_failed(level: advice.RateLevel, rate: advice.RateAdvice) -> bool:
    """Say whether a lower rate did not hold: then this one may have held by chance."""
    return any(one.held is False and one.rate_per_s < level.rate_per_s for one in rate.levels)


def _rate_verdict(level: advice.RateLevel) -> str:
    if level.held is None:
        return NOT_VALID
    if not level.held:
        return NOT_HELD
    return CONFIRMED if level.is_confirmed else HELD


def losses(found: Analysis) -> pd.DataFrame:
    """Return two rows per way of an overload: how many calls were answered, and how many lost."""
    overload = found.overload
    rows = [
        {
            "strategy": level.label,
            "family": "async",
            "part": part,
            "calls": number / level.trials,
            "text": f"{level.lost_calls / level.trials:,.0f} lost, {duration_text(level.wall_s)}",
            "finding": overload.sentence if overload else "",
        }
        for level in (overload.levels if overload else ())
        for part, number in (
            ("answered", level.calls * level.trials - level.lost_calls),
            ("lost", level.lost_calls),
        )
    ]
    return _table(rows, "strategy family part calls text finding")


def served(found: Analysis) -> pd.DataFrame:
    """Return one row per way of a service and number of users: requests a second, and the wait in
    ms of the neighbour beside them; the ways with the most requests first.
    """
    cells = [cell for cell in found.cells if cell.neighbour_ms and cell.throughput_per_s]
    rows = [
        {
            "group": counted(cell.concurrency or 0, "user"),
            "strategy": STRATEGIES[cell.strategy].title,
            "family": STRATEGIES[cell.strategy].family,
            "users": cell.concurrency,
            "throughput_per_s": cell.throughput_per_s,
            "neighbour_ms": cell.neighbour_ms,
            "basis": service.basis(cell),
            "p50_ms": cell.p50_ms,
            "threads": cell.served_threads,
            "text": f"{service.per_s(cell)}, neighbour {service.waits(cell)}",
        }
        for cell in sorted(cells, key=lambda each: (each.concurrency or 0, -_per_s(each)))
    ]
    columns = "group strategy family users throughput_per_s neighbour_ms basis p50_ms threads text"
    return _table(rows, columns).assign(finding=found.service.sentence if found.service else "")


def _per_s(cell: CellSummary) -> float:
    return cell.throughput_per_s or 0.0


def heartbeat(found: Analysis) -> pd.DataFrame:
    """Return one row per request of the neighbour that was answered in time, beside each way.

    In seconds from a trial's start, for its first seconds, of the repeat nearest to the wait that
    is shown; `silent_s` is the longest time without such an answer there. A way without any has one
    row without a time.
    """
    rows: list[dict[str, Any]] = []
    for cell in found.service.ways if found.service else ():
        trial = service.typical(found.trials, cell)
        most_s = min(trial.seconds or trial.wall_s, HEARTBEAT_S)
        answered = sorted(
            ping.end_s
            for ping in trial.pings
            if ping.ok and ping.end_s <= most_s and ping.latency_s <= IN_TIME_S
        )
        moments = [0.0, *answered, most_s]
        silent_s = max(after - before for before, after in pairwise(moments))
        rows += [
            {
                "strategy": STRATEGIES[cell.strategy].title,
                "family": STRATEGIES[cell.strategy].family,
                "answered_s": end_s,
                "most_s": most_s,
                "silent_s": silent_s,
                "wait": service.waits(cell),
                "neighbour_ms": cell.neighbour_ms,
                "repeat": trial.repeat + 1,
            }
            for end_s in answered or [math.nan]
        ]
    return _table(rows, "strategy family answered_s most_s silent_s wait neighbour_ms repeat")


def askers(found: Analysis) -> pd.DataFrame:
    """Return one row per way of a chain: seconds until half of the askers have a first token, and
    until all are answered. Of several numbers of askers it is the most.
    """
    rows = [
        {
            "group": counted(level.askers, "asker"),
            "strategy": STRATEGIES[way.strategy].title,
            "family": STRATEGIES[way.strategy].family,
            "first_token_s": way.first_token_s,
            "answered_s": way.answered_s,
            "text": f"{duration_text(way.first_token_s)}, all {duration_text(way.answered_s)}",
            "finding": found.chain.sentence,
        }
        for level in (found.chain.levels[-1:] if found.chain else ())
        for way in level.ways
        if found.chain
    ]
    return _table(rows, "group strategy family first_token_s answered_s text finding")


def split(found: Analysis, focus: Focus) -> pd.DataFrame:
    """Return the mean milliseconds of a call per strategy, in two parts.

    A batched call stands for `count` calls; its time is divided by them. Of several limits the
    fastest is kept.
    """
    rows = []
    for cell, calls in _one_limit_each(found, focus):
        if not calls:
            continue
        stands_for = len(calls) * (cell.count if STRATEGIES[cell.strategy].is_batch else 1)
        embed = sum(1000 * call.embed_s for call in calls) / stands_for
        total = sum(1000 * call.duration_s for call in calls) / stands_for
        for part, value in ((EMBEDDING, embed), (REST, max(total - embed, 0))):
            rows.append(
                {**_names(cell.cell), "part": part, "mean_ms": value, "samples": len(calls)}
            )
    return _table(rows, "strategy family part mean_ms samples")


def loop_lag(found: Analysis, focus: Focus) -> pd.DataFrame:
    """Return each trial's longest event-loop lag in ms, for the strategies that run on the loop."""
    rows = [
        {
            **_names(trial.cell),
            "repeat": trial.repeat + 1,
            "lag_ms": trial.loop_lag_ms_max,
        }
        for cell in found.cells_of(focus)
        for trial in found.trials[cell.cell]
        if trial.loop_lag_ms_max is not None
        # Of a service that would be the loop of its users, and not the one that is looked at.
        and found.run.experiment != SERVICE
    ]
    return _table(rows, "strategy family repeat lag_ms")


def summary(found: Analysis) -> pd.DataFrame:
    """Return one row per cell with everything derived from it; units are in the names."""
    rows = [
        vars(cell)
        | {
            "strategy": cell.label,
            "errors": "; ".join(f"{kind} ({n}×)" for kind, n in cell.errors.items()),
        }
        for cell in found.cells
    ]
    columns = (
        "operation strategy count repeats failed_trials geomean_wall_s speedup speedup_low "
        "speedup_high verdict throughput_per_s p50_ms p95_ms p99_ms slowest_ms samples "
        "embed_p50_ms milvus_p50_ms loop_lag_ms_max cpu_share errors speedup_note"
    )
    if found.run.experiment == SERVICE:
        columns += " concurrency neighbour_ms neighbour_is_p99 pings served_threads served_mb"
    return _table(rows, columns)


def all_calls(run: Run) -> pd.DataFrame:
    """Return one row per call of every trial, as measured."""
    rows = [
        {
            "operation": trial.operation,
            "strategy": trial.strategy,
            "count": trial.count,
            "concurrency": trial.concurrency,
            "repeat": trial.repeat + 1,
            "call": i + 1,
            "start_s": call.start_s,
            "end_s": call.end_s,
            "embed_s": call.embed_s,
            "ok": call.ok,
            "error": call.error,
            "trial_verified": trial.verified,
        }
        for trial in run.trials
        if not trial.warmup
        for i, call in enumerate(trial.calls)
    ]
    return _table(
        rows,
        "operation strategy count concurrency repeat call start_s end_s embed_s ok error "
        "trial_verified",
    )


def compared_cells(cells: Sequence[ComparedCell]) -> pd.DataFrame:
    """Return one row per cell and run, and per cell that the tutorial published, for the chart."""
    rows = []
    for cell in cells:
        rows += [
            {
                "group": cell.label,
                "work": group_label(cell.key.operation, cell.key.count),
                "strategy": level.run,
                "family": STRATEGIES[cell.key.strategy].family,
                "wall_s": level.mean_s,
                "low": level.low_s,
                "high": level.high_s,
                "text": level.text,
            }
            for level in cell.levels
        ]
        wall_s = published_s(cell.key.operation, cell.key.count, cell.key.strategy)
        if wall_s is not None:
            told = {"strategy": "as published", "family": "neither", "text": duration_text(wall_s)}
            rows.append({**rows[-1], "low": None, "high": None, "wall_s": wall_s, **told})
    columns = ["group", "work", "strategy", "family", "wall_s", "low", "high", "text"]
    return pd.DataFrame(rows, columns=columns).astype({"low": float, "high": float})
