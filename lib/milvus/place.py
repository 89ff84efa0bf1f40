"""What the programs that a reader copies work on, of the connection that the reader has."""

from lib.milvus.connection import Connection
from lib.milvus.embeddings import EmbeddingModel
from lib.programs.snippet import NAMES, OWN, Place, model_path


def place_of(
    connection: Connection,
    model: EmbeddingModel,
    collection: str,
    metric: str = "COSINE",
    *,
    hide_paths: bool = False,
) -> Place:
    """Return where the reader works now. `hide_paths` names no folder of the host."""
    uri = str(connection.arguments["uri"])
    scheme = "https" if uri.startswith("https:") else "http"
    is_there = collection != OWN and not connection.is_lite
    schema = connection.schema(collection) if is_there else None
    vector = schema and schema.vector
    return Place(
        model=model.model,
        uri="" if connection.is_lite else f"{scheme}://{connection.address}",
        database=str(connection.arguments.get("db_name", "")),
        collection=OWN if connection.is_lite else collection,
        metric=metric,
        model_path=model_path(hide_paths),
        latency_ms=model.simulated_latency_ms,
        http_client=model.http_client,
        names=(schema.key.name, schema.text, vector.name) if schema and vector else NAMES,
        is_dynamic=schema is None or schema.is_dynamic,
    )
