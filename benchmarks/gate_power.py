"""How often the CI gate says slower, not slower, or not enough evidence, for known changes.

    python -m benchmarks.gate_power

Simulated pairs of runs whose wall times vary by 3 %; nothing is measured, so that it takes seconds
and says the same each time. Prints the curve for 5 and 10 repeats, and returns 1 when a change up
to the threshold is called slower, or one from the threshold on not slower, in more than 5 %.
"""

import argparse
import random
from collections import Counter

from lib.results.gate import Verdict, decide
from lib.results.trials import Run, Trial

SIGMA = 0.03
PAIRS = 400
THRESHOLD = 0.15
CHANGES = (0.0, 0.05, 0.10, 0.15, 0.20, 0.30)
REPEATS = (5, 10)
MOST_WRONG = 0.05


def simulated(dice: random.Random, factor: float, repeats: int, sigma: float = SIGMA) -> Run:
    """Return a run of one cell whose wall times vary by sigma around a factor, in seconds."""
    return Run(
        environment={},
        settings={"repeats": repeats},
        trials=tuple(
            Trial(
                operation="delete",
                strategy="sync_loop",
                count=1,
                concurrency=1,
                repeat=repeat,
                order=repeat,
                warmup=False,
                wall_s=factor * dice.lognormvariate(0, sigma),
                verified=True,
                verification="",
                loop_lag_ms_max=None,
                loop_lag_ms_p99=None,
                cpu_s=0.0,
                calls=(),
            )
            for repeat in range(repeats)
        ),
    )


def verdicts(
    change: float, repeats: int, threshold: float = THRESHOLD, pairs: int = PAIRS
) -> Counter[Verdict]:
    """Count the gate's verdicts on pairs of runs, the second of each slower by `change`."""
    dice = random.Random(round(1_000 * change) + repeats)
    return Counter(
        decide(
            simulated(dice, 1.0, repeats), simulated(dice, 1 + change, repeats), threshold
        ).verdict
        for _ in range(pairs)
    )


def main() -> int:
    """Print the curve; return 1 where the gate is wrong too often."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    given = parser.parse_args()
    is_wrong = False
    for repeats in REPEATS:
        print(f"{repeats} repeats, threshold {given.threshold:.0%}, {given.pairs} pairs:")
        for change in CHANGES:
            found = verdicts(change, repeats, given.threshold, given.pairs)
            shares = {verdict: found[verdict] / given.pairs for verdict in Verdict}
            print(
                f"  {change:4.0%} slower: "
                + ", ".join(f"{verdict.value} {share:.1%}" for verdict, share in shares.items())
            )
            wrong = [shares[Verdict.SLOWER]] if change <= given.threshold else []
            wrong += [shares[Verdict.NOT_SLOWER]] if change >= given.threshold else []
            is_wrong = is_wrong or max(wrong) > MOST_WRONG
    return int(is_wrong)


if __name__ == "__main__":
    raise SystemExit(main())
