"""MMR on arrays: the order, its explanation, and what the pictures are made of."""

import numpy as np
import pytest
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from lib.search import mmr

# Two near-duplicates close to the query, one row a little further off in another direction.
QUERY = [1.0, 0.0, 0.0]
ROWS = [[0.9, 0.1, 0.0], [0.89, 0.12, 0.0], [0.6, 0.0, 0.8], [0.0, 1.0, 0.0]]


def random_rows(seed: int, count: int = 30) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=16), generator.normal(size=(count, 16))


@pytest.mark.parametrize("lambda_mult", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_order_is_the_one_of_langchain_core(lambda_mult: float) -> None:
    for seed in range(200):
        query, rows = random_rows(seed)
        k = 1 + seed % 12
        expected = maximal_marginal_relevance(query, list(rows), lambda_mult=lambda_mult, k=k)
        assert mmr.order(mmr.space(query, rows), k, lambda_mult) == tuple(expected)


def test_lambda_one_orders_by_relevance_alone() -> None:
    similarities = mmr.space(QUERY, ROWS)
    by_relevance = np.argsort(-similarities.relevance)
    assert mmr.order(similarities, 4, 1.0) == tuple(by_relevance)


def test_lambda_zero_takes_second_what_is_least_like_the_first() -> None:
    similarities = mmr.space(QUERY, ROWS)
    first, second = mmr.order(similarities, 2, 0.0)
    assert first == 0
    assert second == int(np.argmin(similarities.similarity[0]))


def test_a_lower_lambda_skips_the_near_duplicate() -> None:
    similarities = mmr.space(QUERY, ROWS)
    assert mmr.order(similarities, 2, 1.0) == (0, 1)
    assert mmr.order(similarities, 2, 0.3) != (0, 1)


def test_asking_for_more_than_there_is_gives_all_and_for_none_gives_none() -> None:
    similarities = mmr.space(QUERY, ROWS)
    assert sorted(mmr.order(similarities, 99, 0.5)) == [0, 1, 2, 3]
    assert mmr.order(similarities, 0, 0.5) == ()
    assert mmr.order(mmr.space(QUERY, []), 5, 0.5) == ()


def test_each_pick_is_explained_by_the_numbers_it_was_made_from() -> None:
    similarities = mmr.space(QUERY, ROWS)
    chosen = mmr.order(similarities, 3, 0.4)
    first, *later = mmr.picks(similarities, chosen, 0.4)
    assert (first.position, first.redundancy, first.closest) == (1, 0.0, None)
    for place, pick in enumerate(later, 1):
        before = list(chosen[:place])
        assert pick.redundancy == pytest.approx(
            similarities.similarity[pick.candidate, before].max()
        )
        assert pick.closest in before
        assert pick.score == pytest.approx(0.4 * pick.relevance - 0.6 * pick.redundancy)
        rest = [i for i in range(4) if i not in before and i != pick.candidate]
        for other in rest:
            rival = 0.4 * similarities.relevance[other] - 0.6 * float(
                similarities.similarity[other, before].max()
            )
            assert pick.score >= rival


def test_a_list_is_described_by_its_mean_relevance_and_its_mean_pairwise_similarity() -> None:
    similarities = mmr.Space(
        relevance=np.array([0.9, 0.5, 0.1]),
        similarity=np.array([[1.0, 0.8, 0.2], [0.8, 1.0, 0.4], [0.2, 0.4, 1.0]]),
    )
    assert mmr.spread(similarities, (0, 1, 2)) == mmr.Spread(
        pytest.approx(0.5), pytest.approx((0.8 + 0.2 + 0.4) / 3)
    )
    assert mmr.spread(similarities, (1,)) == mmr.Spread(0.5, 0.0)
    assert mmr.spread(similarities, ()) == mmr.Spread(0.0, 0.0)


def test_the_curve_runs_from_lambda_zero_to_one_and_ends_at_similarity_search() -> None:
    query, rows = random_rows(1)
    similarities = mmr.space(query, rows)
    points = mmr.curve(similarities, 5)
    assert [points[0].lambda_mult, points[-1].lambda_mult] == [0.0, 1.0]
    assert points[-1].order == tuple(np.argsort(-similarities.relevance)[:5])
    assert points[0].spread.mean_similarity < points[-1].spread.mean_similarity
    assert points[0].spread.mean_relevance < points[-1].spread.mean_relevance


def test_a_near_duplicate_names_the_earlier_row_it_repeats() -> None:
    similarities = mmr.space(QUERY, ROWS)
    repeats = mmr.near_duplicates(similarities, (0, 1, 2, 3))
    assert set(repeats) == {1}
    earlier, likeness = repeats[1]
    assert earlier == 0
    assert likeness > 0.99


def test_the_map_keeps_what_it_says_of_the_variance() -> None:
    query, rows = random_rows(3)
    flat = mmr.project(query, rows)
    assert flat.candidates.shape == (30, 2)
    first, second = flat.explained
    assert 0 < second <= first < 1
    points = np.vstack([rows, query])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    kept = np.vstack([flat.candidates, flat.query]).var(axis=0).sum()
    assert kept / points.var(axis=0).sum() == pytest.approx(first + second)


def test_the_same_data_give_the_same_map() -> None:
    query, rows = random_rows(4)
    flat, again = mmr.project(query, rows), mmr.project(query, rows.copy())
    assert np.array_equal(flat.candidates, again.candidates)
    assert (flat.query >= 0).all()


@pytest.mark.parametrize("rows", [[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_a_map_of_nearly_nothing_is_still_a_map(rows: list[list[float]]) -> None:
    flat = mmr.project([1.0, 0.0], rows)
    assert np.isfinite(flat.candidates).all()
    assert all(0.0 <= share <= 1.0 + 1e-9 for share in flat.explained)
