"""What a search must return: exact, tied and rounded rows, and MMR as langchain picks it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_milvus.vectorstores.milvus import maximal_marginal_relevance

from lib.benchmark.exact import METRICS, ExactRows
from lib.search import mmr as search_mmr

SIZES = st.sampled_from([1, 2, 3, 7, 31, 97])
DIMENSIONS = st.sampled_from([1, 2, 3, 17, 256])


def texts(count: int) -> list[str]:
    return [f"row_{i}" for i in range(count)]


def random_rows(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (n, d) and a question (d,) that are exact in 32 bits."""
    dice = np.random.default_rng(seed)
    drawn = dice.normal(size=(n + 1, d)) * dice.choice([0.01, 1.0, 30.0], size=(n + 1, 1))
    vectors = drawn.astype(np.float32).astype(np.float64)
    return vectors[1:], vectors[0]


def in_32_bits(vectors: np.ndarray, question: np.ndarray, metric: str) -> np.ndarray:
    """Return scores as a store computes them, higher for nearer rows."""
    rows, asked = vectors.astype(np.float32), question.astype(np.float32)
    if metric == "L2":
        return -((rows - asked) ** 2).sum(axis=1)
    products = (rows * asked).sum(axis=1)
    if metric == "IP":
        return products
    return products / (np.linalg.norm(rows, axis=1) * np.linalg.norm(asked))


@given(
    n=SIZES,
    d=DIMENSIONS,
    k=st.sampled_from([1, 2, 3, 5, 11, 100]),
    seed=st.integers(0, 10_000),
    metric=st.sampled_from(sorted(METRICS)),
)
def test_an_answer_computed_in_32_bits_is_right_and_one_with_another_row_is_wrong(
    n: int, d: int, k: int, seed: int, metric: str
) -> None:
    vectors, question = random_rows(n, d, seed)
    rows = ExactRows(texts(n), vectors, metric)
    (ranking,) = rows.rank([question], k)
    scores = in_32_bits(vectors, question, metric)
    answer = [f"row_{i}" for i in np.argsort(-scores, kind="stable")[:k]]
    assert ranking.is_nearest(answer, k)
    assert ranking.recall(answer, k) == 1.0
    assert not ranking.is_nearest(answer[:-1], k)
    assert not ranking.is_nearest([*answer[:-1], "row_unknown"], k)
    if len(answer) > 1:
        assert not ranking.is_nearest([answer[0], *answer[:-1]], k)
        assert ranking.recall(answer[1:], k) == pytest.approx(1 - 1 / len(answer))
    if n > k:
        worst = f"row_{int(np.argmin(scores))}"
        gap = np.partition(-scores, k - 1)[k - 1] + scores.min()
        if -gap > 1e-3 * np.abs(scores).max():
            assert not ranking.is_nearest([*answer[:-1], worst], k)
            assert ranking.recall([*answer[:-1], worst], k) == pytest.approx(1 - 1 / k)


@given(n=st.sampled_from([2, 3, 5, 13, 50]), copies=st.integers(2, 7), k=st.integers(1, 20))
def test_rows_with_equal_vectors_may_stand_for_each_other(n: int, copies: int, k: int) -> None:
    vectors, question = random_rows(n, 16, n)
    repeated = np.repeat(vectors, copies, axis=0)
    rows = ExactRows(texts(len(repeated)), repeated, "COSINE")
    (ranking,) = rows.rank([question], k)
    scores = rows_scores(repeated, question)
    forwards = np.argsort(-scores, kind="stable")[:k]
    backwards = np.lexsort((-np.arange(len(scores)), -scores))[:k]
    for order in (forwards, backwards):
        assert ranking.is_nearest([f"row_{i}" for i in order], k)
        assert ranking.recall([f"row_{i}" for i in order], k) == 1.0


def rows_scores(vectors: np.ndarray, question: np.ndarray) -> np.ndarray:
    return np.round(in_32_bits(vectors, question, "COSINE").astype(np.float64), 5)


@given(
    n=SIZES,
    k=st.sampled_from([1, 2, 3, 5, 11]),
    fetch_k=st.sampled_from([11, 20, 53]),
    lambda_mult=st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0]),
    seed=st.integers(0, 10_000),
)
def test_langchain_s_own_picks_are_right_and_are_those_of_the_search_page(
    n: int, k: int, fetch_k: int, lambda_mult: float, seed: int
) -> None:
    vectors, question = random_rows(n, 24, seed)
    (ranking,) = ExactRows(texts(n), vectors, "COSINE").rank([question], fetch_k)
    candidates = np.argsort(-in_32_bits(vectors, question, "COSINE"), kind="stable")[:fetch_k]
    picked = maximal_marginal_relevance(
        question, vectors[candidates].tolist(), lambda_mult=lambda_mult, k=k
    )
    answer = [f"row_{candidates[i]}" for i in picked]
    assert ranking.is_mmr(answer, k, fetch_k, lambda_mult)
    space = search_mmr.space(question, vectors[candidates])
    order = search_mmr.order(space, k, lambda_mult)
    assert ranking.is_mmr([f"row_{candidates[i]}" for i in order], k, fetch_k, lambda_mult)
    if len(answer) > 1:
        assert not ranking.is_mmr([answer[0], *answer[:-1]], k, fetch_k, lambda_mult)
        assert not ranking.is_mmr(answer[:-1], k, fetch_k, lambda_mult)


def picks(vectors: np.ndarray, question: np.ndarray, fetch_k: int) -> list[str]:
    """Return what MMR picks five of, with λ = 0.5, as the search page does."""
    nearest = np.argsort(-in_32_bits(vectors, question, "COSINE"), kind="stable")[:fetch_k]
    order = search_mmr.order(search_mmr.space(question, vectors[nearest]), 5, 0.5)
    return [f"row_{nearest[i]}" for i in order]


def test_mmr_in_another_order_or_from_too_many_candidates_is_wrong() -> None:
    vectors, question = random_rows(97, 24, 5)
    (ranking,) = ExactRows(texts(97), vectors, "COSINE").rank([question], 20)
    answer = picks(vectors, question, 20)
    assert ranking.is_mmr(answer, 5, 20, 0.5)
    assert not ranking.is_mmr(list(reversed(answer)), 5, 20, 0.5)
    other = picks(vectors, question, 90)
    assert set(other) - set(answer)
    assert not ranking.is_mmr(other, 5, 20, 0.5)


@given(copies=st.integers(2, 9), k=st.integers(1, 5), seed=st.integers(0, 999))
def test_mmr_among_rows_with_equal_vectors_may_pick_any_of_them(
    copies: int, k: int, seed: int
) -> None:
    vectors, question = random_rows(7, 24, seed)
    repeated = np.repeat(vectors, copies, axis=0)
    (ranking,) = ExactRows(texts(len(repeated)), repeated, "COSINE").rank([question], 11)
    scores = rows_scores(repeated, question)
    for tie in (np.arange(len(scores)), -np.arange(len(scores))):
        candidates = np.lexsort((tie, -scores))[:11]
        picked = maximal_marginal_relevance(question, repeated[candidates].tolist(), 0.5, k)
        assert ranking.is_mmr([f"row_{candidates[i]}" for i in picked], k, 11, 0.5)


def test_noise_lets_near_rows_through_and_no_others() -> None:
    angles = np.array([0.0, 0.02, 0.05, 1.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    exact, noisy = (
        next(ExactRows(texts(4), vectors, "COSINE").rank([[1.0, 0.0]], 2, noise))
        for noise in (0.0, 0.005)
    )
    assert exact.is_nearest(["row_0", "row_1"], 2)
    assert not exact.is_nearest(["row_1", "row_2"], 2)
    assert noisy.is_nearest(["row_1", "row_2"], 2)
    assert not noisy.is_nearest(["row_0", "row_3"], 2)


def test_an_empty_collection_has_one_right_answer() -> None:
    (ranking,) = ExactRows([], np.zeros((0, 3)), "L2").rank([[1.0, 2.0, 3.0]], 3)
    assert ranking.is_nearest([], 3)
    assert ranking.is_mmr([], 3, 20, 0.5)
    assert ranking.recall([], 3) == 1.0
    assert not ranking.is_nearest(["row_0"], 3)


def test_many_rows_that_are_all_the_same_take_no_square_of_memory() -> None:
    count = 20_000
    rows = ExactRows(texts(count), np.ones((count, 8)), "IP")
    (ranking,) = rows.rank([np.ones(8)], 5)
    assert len(ranking.found) == count
    assert ranking.is_nearest(["row_3", "row_19999", "row_7"], 3)
    assert ranking.is_mmr(["row_3", "row_19999"], 2, 5, 0.5)
