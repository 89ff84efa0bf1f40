"""Precomputed vectors: a stand-in for the embedding model when texts come with their vectors."""

from langchain_core.embeddings import Embeddings

from lib.errors import EmbeddingFailed
from lib.milvus.embeddings import EmbeddingModel


class PrecomputedEmbeddings(Embeddings):
    """Embeds nothing: whoever asks has forgotten that only given vectors can be used here."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Raise EmbeddingFailed."""
        raise EmbeddingFailed(
            "These rows came with vectors of an unknown model, so no other text can be embedded.",
            next_step="Ingest with add_embeddings, or choose to embed the texts anew.",
        )

    def embed_query(self, text: str) -> list[float]:
        """Raise EmbeddingFailed."""
        return self.embed_documents([text])[0]


def precomputed(dimension: int, name: str = "") -> EmbeddingModel:
    """Return a model for vectors of this dimension; `name` says what made them, if known."""
    return EmbeddingModel(
        embeddings=PrecomputedEmbeddings(),
        model=name or f"precomputed/{dimension}",
        label="Vectors from a file",
        dimension=dimension,
    )
