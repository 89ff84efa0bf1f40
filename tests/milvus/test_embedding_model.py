"""The bundled model: small, offline, and clearly better than hashing characters."""

import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.embedding_quality import (
    FURTHER_QUESTIONS_PATH,
    REQUIRED_RATIO,
    Quality,
    fold_mrrs,
    hash_ngrams,
    load_questions,
    measure,
    mrr_interval,
)
from lib import settings
from lib.documents.corpora import CORPORA
from lib.errors import EmbeddingFailed
from lib.milvus.embeddings import (
    BUNDLED_DIMENSION,
    BundledEmbeddings,
    open_model,
)
from lib.settings import BUNDLED_MODEL_DIR

# On questions that chose nothing in the model.
REQUIRED_MRR = 0.53
README_QUESTION = "random integer between two bounds"


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    """The standard library's documents by name."""
    return {
        str(document.id): document.page_content
        for document in CORPORA["standard_library"].documents(None, 0)
    }


def embed(texts: list[str]) -> np.ndarray:
    """Embed as the app does."""
    return np.array(BundledEmbeddings().embed_documents(list(texts)))


def test_the_folder_is_under_nine_megabytes_and_carries_card_and_licence() -> None:
    files = {path.name: path.stat().st_size for path in BUNDLED_MODEL_DIR.iterdir()}
    assert sum(files.values()) < 9_000_000
    assert {"CARD.md", "LICENSE", "config.json", "model.safetensors", "tokenizer.json"} <= set(
        files
    )


def test_vectors_have_256_dimensions_and_unit_length() -> None:
    vectors = embed(["one text", "another, longer text about rivers", ""])
    assert vectors.shape == (3, BUNDLED_DIMENSION) == (3, 256)
    assert np.linalg.norm(vectors[:2], axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_it_loads_without_any_network_and_an_empty_home(tmp_path) -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network here')\n"
        "socket.socket.connect = refuse\n"
        "from lib.milvus.embeddings import BundledEmbeddings\n"
        "print(len(BundledEmbeddings().embed_query('hello')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "256", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_model_says_how_to_make_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.milvus.embeddings.BUNDLED_MODEL_DIR", tmp_path)
    with pytest.raises(EmbeddingFailed, match=r"scripts\.model\.distil"):
        open_model(settings.load({}))


def test_it_finds_answers_better_than_hashed_character_ngrams(documents: dict[str, str]) -> None:
    questions = load_questions()
    assert len(questions) >= 30
    model = measure(embed, documents, questions)
    hashed = measure(lambda texts: hash_ngrams(texts, 256), documents, questions)
    assert model.mrr >= REQUIRED_RATIO * hashed.mrr
    assert model.mrr >= REQUIRED_MRR


def test_every_question_has_its_answers_in_the_corpus_and_the_further_ones_have_others(
    documents: dict[str, str],
) -> None:
    first, further = (
        {name for question in questions for name in question.answers}
        for questions in (load_questions(), load_questions(FURTHER_QUESTIONS_PATH))
    )
    assert first | further <= set(documents)
    assert not first & further


def test_the_folds_hold_each_question_once_and_the_interval_holds_the_mean() -> None:
    quality = Quality(ranks=(1, 2, 4, 1, 2, 1, 2), documents_per_s=1.0)
    assert fold_mrrs(quality) == [1.0, 0.5, 0.25, 1.0, 0.5]
    low, high = mrr_interval(quality)
    assert 0.25 <= low < quality.mrr < high <= 1.0


def test_the_readmes_question_is_answered_in_the_first_five(documents: dict[str, str]) -> None:
    names = list(documents)
    scores = embed(list(documents.values())) @ embed([README_QUESTION])[0]
    first_five = [names[i] for i in np.argsort(-scores)[:5]]
    assert "random.randint" in first_five
