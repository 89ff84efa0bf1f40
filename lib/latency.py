"""The waits of a simulated service, as the app makes them and as its programs do."""

import math


def log_normal(mean: float, deviation: float) -> tuple[float, float]:
    """Return mu and sigma of the log-normal distribution with this mean and standard deviation.

    Its mean is exp(mu + sigma²/2) and its variance (exp(sigma²) - 1) times the squared mean.
    """
    variance = math.log1p((deviation / mean) ** 2)
    return math.log(mean) - variance / 2, math.sqrt(variance)
