"""How a program opens its collection, and what it puts there first."""

import os

from blanks import (
    COLLECTION,
    DATABASE,
    FIELDS,
    FILE,
    INDEX_TYPE,
    IS_DYNAMIC,
    METRIC,
    OPTIONS,
    OWN_OPTIONS,
    PARAMS,
    ROWS,
    URI,
    model,
)
from langchain_milvus import Milvus

# %% carried
rows = [  # key, text, metadata
    *ROWS,
]

# %% store
store = Milvus(
    embedding_function=model,
    **OPTIONS,
)

# %% filled
store.add_texts(
    [text for _, text, _ in rows],
    metadatas=[metadata for _, _, metadata in rows],
    ids=[key for key, _, _ in rows],
)

# %% options lite
dict(
    collection_name=COLLECTION,
    connection_args={"uri": FILE},
    enable_dynamic_field=IS_DYNAMIC,
    **FIELDS,
    **OWN_OPTIONS,
)

# %% options server
dict(
    collection_name=COLLECTION,
    connection_args={"uri": URI, "token": os.environ.get("MILVUS_TOKEN", ""), **DATABASE},
    enable_dynamic_field=IS_DYNAMIC,
    **FIELDS,
    **OWN_OPTIONS,
)

# %% address of the environment
os.environ.get("MILVUS_URI", URI)

# %% options own
dict(
    index_params={
        "metric_type": METRIC,
        "index_type": INDEX_TYPE,
        "params": PARAMS,
    },
    drop_old=True,
)


# %% count
def count(expr=""):
    answer = store.client.query(
        store.collection_name,
        filter=expr,
        output_fields=["count(*)"],
        consistency_level="Strong",
    )
    return answer[0]["count(*)"]
