"""Serve OpenAI's API on this machine, with failures to order, without key or network.

`python -m scripts.openai_endpoint` serves it until Ctrl-C, `in_a_worker` while a job needs it. It
embeds with the bundled model when that is there, else with hashed words, so that similar texts lie
close together. A chat model answers with words of the question. The requested model's name can
choose what goes wrong:

    fail-401, fail-429, fail-500    that status, with the body OpenAI sends
    fail-garbage                    status 200 and a body that is no JSON
    fail-hang                       no answer at all
    fail-…-once                     the failure for the first request, then embeddings
    slow-0.45                       embeddings after 0.45 s
"""

import asyncio
import base64
import hashlib
import http.client
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lib.milvus.embeddings import BundledEmbeddings
from lib.settings import BUNDLED_MODEL_DIR
from lib.workers.service import Service

HASHED_DIMENSION = 256
RETRY_AFTER_S = 1
START_TIMEOUT_S = 10
CHAT, EVENTS = "/v1/chat/completions", "text/event-stream"
TOKENS = 20  # of a chat's answer
HANG_S = 3600
FAILURE = re.compile(r"fail-(?P<kind>401|429|500|garbage|hang)(?P<once>-once)?")
SLOWNESS = re.compile(r"slow-(?P<seconds>\d+(\.\d+)?)")

Vectors = npt.NDArray[np.float32]


class OpenAIEndpoint:
    """Embeddings and chat in a thread of its own, for `OpenAIEmbeddings(base_url=…)` and others.

    Vectors leave `latency_s` after their request came in, embedding included. Of a chat's answer
    the first token leaves after `first_token_s` and the last after `answer_s`; it counts as in
    flight until the first. `failure` (such
    as "401") fails every request, whatever model it names. With `api_key`, any other key gets 401.
    `requests` and `texts` count what came in since the start or the last `reset()`, `headers` are
    those of each request. With `redirect_to`, every request is sent on to that address.

    With a `spread`, waits are log-normal around the median `latency_s`: the standard deviation of
    their logarithms. Their sequence is the same for each endpoint.

    With `most_in_flight` or `most_per_s` it has a quota: what exceeds it gets 429 with Retry-After,
    and `refused` counts it.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        latency_s: float = 0.0,
        first_token_s: float = 0.0,
        answer_s: float = 0.0,
        failure: str | None = None,
        api_key: str | None = None,
        use_bundled_model: bool = True,
        redirect_to: str | None = None,
        most_in_flight: int | None = None,
        most_per_s: float | None = None,
        spread: float = 0.0,
    ) -> None:
        """Bind the port at once, a free one by default, so that `base_url` is known."""
        self.latency_s = latency_s
        self.first_token_s = first_token_s
        self.answer_s = max(answer_s, first_token_s)
        self.failure = failure
        self.api_key = api_key
        self.redirect_to = redirect_to
        self.most_in_flight = most_in_flight
        self.most_per_s = most_per_s
        self._spread, self._dice = spread, random.Random(0)
        self._in_flight = 0
        self.reset()
        self._embed = _bundled() if use_bundled_model and BUNDLED_MODEL_DIR.is_dir() else _hashed
        # asyncio sends at once only on sockets that say they are TCP's. Without that the second
        # half of an answer waits 40 ms for the client's acknowledgement of the first.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        paths = ("/v1/embeddings", CHAT)
        app = Starlette(routes=[Route(path, self._answer, methods=["POST"]) for path in paths])
        self._server = uvicorn.Server(
            # The short grace is for requests that never get an answer.
            uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, lifespan="off")
        )
        self._thread = threading.Thread(target=self._serve, name="openai-endpoint", daemon=True)

    @property
    def base_url(self) -> str:
        """What OpenAI's client calls the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def reset(self) -> None:
        """Count from zero again and forget which failures have happened."""
        self.requests = 0
        self.texts = 0
        self.headers: list[dict[str, str]] = []
        self.refused: Counter[str] = Counter()
        # A second's requests may come at once, as providers allow; then one after another.
        self._bucket = self.most_per_s or 0.0
        self._filled = time.monotonic()
        self._asked: Counter[str] = Counter()

    def start(self) -> Self:
        """Serve, and return when requests are answered."""
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("The embeddings server did not start.")
            time.sleep(0.01)
        # The first request to a server takes ten milliseconds more. This one counts nowhere.
        warm_up = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_TIMEOUT_S)
        warm_up.request("GET", "/")
        warm_up.getresponse().read()
        warm_up.close()
        return self

    def where(self) -> str:
        """Return the base URL, to whoever has it in a worker."""
        return self.base_url

    def counts(self) -> tuple[int, int]:
        """Return the requests that came in since the last `reset()`, and those refused."""
        return self.requests, sum(self.refused.values())

    def close(self) -> None:
        """Answer nothing more and free the port; a second call does nothing."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        """Start serving."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    async def _answer(self, request: Request) -> Response:
        """Answer a request for vectors or for words, or refuse what exceeds the quota."""
        came_in = time.monotonic()
        self.requests += 1
        self.headers.append(dict(request.headers))
        if self.redirect_to is not None:
            return Response(status_code=307, headers={"location": self.redirect_to})
        exceeded = self._exceeded()
        if exceeded:
            self.refused[exceeded] += 1
            return _fail("429")
        self._in_flight += 1
        try:
            return await self._answered(request, came_in)
        finally:
            self._in_flight -= 1

    def _exceeded(self) -> str:
        """Return which part of the quota a request exceeds; empty for none."""
        if self.most_in_flight is not None and self._in_flight >= self.most_in_flight:
            return "in flight"
        if self.most_per_s is None:
            return ""
        now = time.monotonic()
        grown = self._bucket + (now - self._filled) * self.most_per_s
        self._bucket, self._filled = min(grown, self.most_per_s), now
        if self._bucket < 1:
            return "per second"
        self._bucket -= 1
        return ""

    async def _answered(self, request: Request, came_in: float) -> Response:
        body = await request.json()
        model = str(body.get("model", ""))
        self._asked[model] += 1
        failing = FAILURE.fullmatch(f"fail-{self.failure}" if self.failure else model)
        fails = failing and not (failing["once"] and self._asked[model] > 1)
        kind = failing["kind"] if failing and fails else ""
        latency_s, slowness = self.latency_s, SLOWNESS.fullmatch(model)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if kind or (self.api_key is not None and key != self.api_key):
            answer = _fail(kind or "401")
        elif request.url.path == CHAT:
            latency_s = self.first_token_s if body.get("stream") else self.answer_s
            answer = self._words(model, body, came_in)
        else:
            answer = self._vectors(model, body)
        latency_s = float(slowness["seconds"]) if slowness else latency_s
        latency_s *= self._dice.lognormvariate(0.0, self._spread)  # 1 without a spread
        # What the answer took to make is part of its latency.
        due = came_in + (HANG_S if kind == "hang" else latency_s)
        await asyncio.sleep(max(due - time.monotonic(), 0))
        return answer

    def _words(self, model: str, body: dict[str, Any], came_in: float) -> Response:
        asked = str(body["messages"][-1]["content"]).split() or ["?"]
        words = [f"{asked[i % len(asked)]} " for i in range(TOKENS)]
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(words)}
            return JSONResponse(_completion(model, "chat.completion", message=message))
        return StreamingResponse(self._tokens(model, words, came_in), media_type=EVENTS)

    async def _tokens(self, model: str, words: list[str], came_in: float) -> AsyncIterator[str]:
        """Yield the events of a streamed answer, each when it is due."""
        step_s = (self.answer_s - self.first_token_s) / (len(words) - 1)
        for i, word in enumerate(words):
            due = came_in + self.first_token_s + i * step_s
            await asyncio.sleep(max(due - time.monotonic(), 0))
            delta = {"role": "assistant", "content": word}
            chunk = _completion(model, "chat.completion.chunk", delta=delta)
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    def _vectors(self, model: str, body: dict[str, Any]) -> Response:
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not texts or not all(isinstance(text, str) for text in texts):
            # Servers other than OpenAI's embed token ids as if they were text, or worse: refuse
            # them here, so that a test notices a client that sends them.
            return _error(400, "'input' must be text or a list of texts, not token ids.")
        self.texts += len(texts)
        return JSONResponse(_answer_body(model, self._embed(texts), body))


@contextmanager
def in_a_worker(
    latency_s: float, first_token_s: float = 0.0, answer_s: float = 0.0
) -> Iterator[tuple[str, int]]:
    """Serve in a process of its own, which ends with this one; yield its base URL and number.

    Raises Ended and NotStarted.
    """
    with served(latency_s=latency_s, first_token_s=first_token_s, answer_s=answer_s) as service:
        yield service.call("where", timeout=START_TIMEOUT_S), service.pid


@contextmanager
def served(**options: float) -> Iterator[Service]:
    """Serve in a process of its own an OpenAIEndpoint with these options; its methods are called.

    Raises Ended and NotStarted.
    """
    service = Service(_started, options, what="The endpoint")
    try:
        yield service
    finally:
        service.close()


def _started(options: dict[str, Any]) -> OpenAIEndpoint:
    return OpenAIEndpoint(**options).start()


def _fail(kind: str) -> Response:
    """Answer as a server in trouble does."""
    if kind == "401":
        return _error(401, "Incorrect API key provided.", code="invalid_api_key")
    if kind == "429":
        answer = _error(429, "Rate limit reached for requests.", code="rate_limit_exceeded")
        answer.headers["retry-after"] = str(RETRY_AFTER_S)
        return answer
    if kind == "500":
        return _error(500, "The server had an error while processing your request.")
    return Response("<html>not what you asked for</html>", media_type="application/json")


def _error(status: int, message: str, code: str | None = None) -> Response:
    """Wrap a message as OpenAI's API does."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status)


def _completion(model: str, kind: str, **said: Any) -> dict[str, Any]:
    """Put a message, or a part of one, into the form of a chat's answer."""
    choice = {"index": 0, "finish_reason": None if "delta" in said else "stop", **said}
    return {"id": "chat", "object": kind, "created": 0, "model": model, "choices": [choice]}


def _answer_body(model: str, vectors: Vectors, body: dict[str, Any]) -> dict[str, Any]:
    """Put vectors into the form that was asked for."""
    if dimension := body.get("dimensions"):
        vectors = _unit_length(vectors[:, :dimension])
    encode: Callable[[Vectors], Any] = np.ndarray.tolist
    if body.get("encoding_format") == "base64":
        encode = _base64
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _base64(vector: Vectors) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def _hashed(texts: list[str]) -> Vectors:
    """Embed texts by counting hashed words: rough, but the same on every machine."""
    vectors = np.zeros((len(texts), HASHED_DIMENSION), dtype=np.float32)
    for vector, text in zip(vectors, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()) or [""]:
            digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
            vector[int.from_bytes(digest) % HASHED_DIMENSION] += 1
    return _unit_length(vectors)


def _bundled() -> Callable[[list[str]], Vectors]:
    """Load the bundled model and return what embeds with it."""
    model = BundledEmbeddings()
    model.embed_query("its first text takes longest")

    def embed(texts: list[str]) -> Vectors:
        return np.asarray(model.embed_documents(texts), dtype=np.float32)

    return embed


def _unit_length(vectors: Vectors) -> Vectors:
    """Scale every row to length one; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
