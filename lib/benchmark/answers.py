"""Judges what searches return: against the exact rows, or by their recall of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from lib.benchmark.exact import ExactRows, Ranking
from lib.milvus.operations import Inputs, Operation

OTHER_ROWS = "returned other rows than expected"
NO_ANSWER = "returned a row twice, or too many rows"
# A remote service embeds the same text a little differently each time, which swaps neighbours
# whose scores are this close. The bundled model does not.
NEAR_TIE = 0.005

Wrong = Mapping[int, str]  # index of a row or question → what is wrong with it
Keys = tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """What came of a trial: what is wrong, and the mean recall where answers are judged by it."""

    wrong: Wrong = field(default_factory=dict)
    recall: float | None = None
    least_recall: float = 0.0

    @property
    def note(self) -> str:
        """The recall in words, empty where answers are compared exactly."""
        if self.recall is None:
            return ""
        if self.recall < self.least_recall:
            return f"recall {self.recall:.3f}, below the {self.least_recall:g} asked for"
        return f"recall {self.recall:.3f}, {self.least_recall:g} asked for"


@dataclass(eq=False)
class Answers:
    """The right answers to the questions of a run.

    With `rows` they are computed from the vectors. Where the store's index is exact (`least_recall`
    None), each answer must be the right one; else the mean recall of a trial must be at least so
    high. Without `rows`, which is for collections that are too large to read, what `ask` returns
    at first takes the place of the exact rows.
    """

    inputs: Inputs
    rows: ExactRows | None
    least_recall: float | None
    is_noisy: bool  # whether the same text may get another vector the next time
    ask: Callable[[Operation, int], Keys]

    def __post_init__(self) -> None:
        self._rankings: dict[tuple[bool, float], list[Ranking]] = {}
        self._asked: dict[bool, list[Keys]] = {}
        self._judged: dict[tuple[bool, float, int, Keys], float] = {}

    def prepare(self, operation: Operation) -> None:
        """Find out, outside the clock, what each question must be answered with."""
        questions = self.inputs.query_vectors
        if self.rows is None:
            if operation.is_mmr not in self._asked:
                answers = [self.ask(operation, i) for i in range(len(questions))]
                self._asked[operation.is_mmr] = answers
            return
        kind = self._kind(operation)
        if kind not in self._rankings:
            depth = self.inputs.fetch_k if operation.is_mmr else self.inputs.k
            self._rankings[kind] = list(self.rows.rank(questions, depth, kind[1]))

    def judge(self, operation: Operation, answers: Sequence[Keys | None]) -> Checked:
        """Judge the answers to the questions, of which the i-th asked the i-th, cyclically.

        None stands for a call that failed, which is counted elsewhere.
        """
        given = {i: keys for i, keys in enumerate(answers) if keys is not None}
        shares = {i: self._share(operation, i, keys) for i, keys in given.items()}
        if self.least_recall is None:
            return Checked({i: OTHER_ROWS for i, share in shares.items() if share < 1})
        k = self.inputs.k
        broken = {i: NO_ANSWER for i, keys in given.items() if len(set(keys)) < len(keys) or
                  len(keys) > k}  # fmt: skip
        recall = fsum(shares.values()) / len(shares) if shares else None
        if recall is None or recall >= self.least_recall:
            return Checked(broken, recall, self.least_recall)
        missed = {i: OTHER_ROWS for i, share in shares.items() if share < 1}
        return Checked(missed | broken, recall, self.least_recall)

    def _kind(self, operation: Operation) -> tuple[bool, float]:
        return operation.is_mmr, NEAR_TIE if self.is_noisy and operation.embeds else 0.0

    def _share(self, operation: Operation, i: int, keys: Keys) -> float:
        """Return the recall of an answer; where answers must be exact, 1 or 0."""
        kind = self._kind(operation)
        question = i % len(self.inputs.query_vectors)
        known = (*kind, question, keys)
        if known not in self._judged:
            self._judged[known] = self._judge_one(*known)
        return self._judged[known]

    def _judge_one(self, is_mmr: bool, noise: float, question: int, keys: Keys) -> float:
        inputs = self.inputs
        if self.rows is None:
            first = self._asked[is_mmr][question]
            return len(set(keys) & set(first)) / len(first) if first else 1.0
        ranking = self._rankings[is_mmr, noise][question]
        if not is_mmr:
            if self.least_recall is None:
                return float(ranking.is_nearest(keys, inputs.k))
            return ranking.recall(keys, inputs.k)
        if noise:  # a swap early on changes what is picked later
            return float(ranking.share_found(keys, inputs.k) == 1)
        ranked_by = inputs.k, inputs.fetch_k, inputs.lambda_mult
        if ranking.is_mmr(keys, *ranked_by):
            return 1.0
        # A candidate that the index misses changes what is picked later.
        return 0.0 if self.least_recall is None else ranking.share_found(keys, inputs.k)
