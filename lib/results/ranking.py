"""k, `fetch_k` and λ of a search: what they start with, what they may be, and their one check."""

from lib.errors import InvalidInput

MAX_K = 1_000
DEFAULT_K = 5
DEFAULT_FETCH_K = 20
DEFAULT_LAMBDA = 0.7


def check_ranking(k: int, fetch_k: int | None = None, lambda_mult: float = DEFAULT_LAMBDA) -> None:
    """Raise InvalidInput for a search that cannot be asked; one sentence names all three bounds.

    `fetch_k` is None for a method that takes no candidates.
    """
    if 1 <= k <= (MAX_K if fetch_k is None else fetch_k) <= MAX_K and 0 <= lambda_mult <= 1:
        return
    candidates = "" if fetch_k is None else f", fetch_k = {fetch_k:,}"
    raise InvalidInput(
        f"k must be between 1 and {MAX_K:,}, fetch_k between k and {MAX_K:,}, and λ between 0 and "
        f"1, not k = {k:,}{candidates}, λ = {lambda_mult:g}."
    )
