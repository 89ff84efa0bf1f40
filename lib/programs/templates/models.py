"""The embedding models of the programs."""

import asyncio
from random import Random
from time import sleep

import openai
from blanks import CLASS, CONNECTIONS, HTTP_CLIENT, NAME, OTHER_CLIENT, PATH, SECONDS, http_client
from httpx2 import Limits
from langchain_core.embeddings import Embeddings
from langchain_openai import OpenAIEmbeddings
from model2vec import StaticModel

# %% waits
waits = Random(7)


# %% bundled
class BundledModel(Embeddings):
    static = StaticModel.from_pretrained(PATH)

    def embed_documents(self, texts):
        sleep(SECONDS)
        return self.static.encode(texts).tolist()

    def embed_query(self, text):
        return self.embed_documents([text])[0]

    # %% bundled async
    async def aembed_documents(self, texts):
        await asyncio.sleep(SECONDS)
        return self.static.encode(texts).tolist()

    async def aembed_query(self, text):
        return (await self.aembed_documents([text]))[0]


# %% bundled model
model = BundledModel()


# %% openai slow
class SlowEmbeddings(OpenAIEmbeddings):
    def embed_documents(self, texts, **more):
        sleep(SECONDS)
        return super().embed_documents(texts, **more)

    def embed_query(self, text, **more):
        return self.embed_documents([text], **more)[0]

    # %% openai slow async
    async def aembed_documents(self, texts, **more):
        await asyncio.sleep(SECONDS)
        return await super().aembed_documents(texts, **more)

    async def aembed_query(self, text, **more):
        return (await self.aembed_documents([text], **more))[0]


# %% openai model
model = CLASS(model=NAME, check_embedding_ctx_length=False)

# %% openai model async
OTHER_CLIENT
http_client = HTTP_CLIENT
model = CLASS(
    model=NAME,
    check_embedding_ctx_length=False,
    http_async_client=http_client,
)

# %% other client
# openai.DefaultAioHttpClient() takes less of a processor: pip install "openai[aiohttp]"

# %% client httpx
openai.DefaultAsyncHttpxClient()

# %% client httpx-more
openai.DefaultAsyncHttpxClient(
    limits=Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
)

# %% client aiohttp
openai.DefaultAioHttpClient()


# %% closing
async def closing(work):
    async with http_client:  # aiohttp complains of a client that nobody closed
        return await work
