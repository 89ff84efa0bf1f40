"""Embedding providers as a registry, and two wrappers: simulated latency and a clock.

Wrappers implement LangChain's `Embeddings`, so that the measured code is the code a reader copies.
"""

import asyncio
import atexit
import contextlib
import contextvars
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from lib import event_loop
from lib.errors import EmbeddingFailed, InvalidInput, LabError
from lib.latency import log_normal
from lib.milvus.failures import refusal
from lib.results import catalogue
from lib.settings import (
    AIOHTTP,
    BUNDLED_MODEL_DIR,
    HTTPX,
    HTTPX_MORE,
    MORE_CONNECTIONS,
    OPENAI_ADDRESS,
    Settings,
    canonical,
)

if TYPE_CHECKING:
    import httpx2
    from langchain_openai import OpenAIEmbeddings
    from model2vec import StaticModel

BUNDLED_DIMENSION = 256
CLOSE_S = 2.0
BUNDLED_MODEL_NAME = "bundled/all-MiniLM-L6-v2-static-256-tuned"
# Embedding a few short texts takes less time than handing them to another thread.
INLINE_TEXTS = 8
OPENAI_TIMEOUT_S = 30.0
OPENAI_RETRIES = 2
# How long a call may take with all its tries: while a person waits, and in a job.
ANSWER_S = 8.0
WORK_S = 60.0
FIRST_WAIT_S = 0.5
OPENAI_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}


_encoding = threading.Lock()


class ByDocuments(Embeddings):
    """Embeds one text as a list of one. A subclass says how texts are embedded, sync and async."""

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return self.embed_documents([text])[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return (await self.aembed_documents([text]))[0]


class BundledEmbeddings(ByDocuments):
    """The static model that ships with the app: no key, no network, numpy only."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one 256-dimensional unit vector per text."""
        # model2vec sets its tokenizer up at each call. It waits for other threads there and keeps
        # the interpreter's lock. Waiting here releases that lock.
        with _encoding:
            return _encode(texts)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed without blocking the loop for longer than a handful of texts takes.

        The loop waits for no thread: where one loads the model or encodes, another thread waits.
        """
        is_quick = len(texts) <= INLINE_TEXTS and _loaded.cache_info().currsize
        if not is_quick or not _encoding.acquire(blocking=False):
            return await asyncio.to_thread(self.embed_documents, texts)
        try:
            return _encode(texts)
        finally:
            _encoding.release()


def _encode(texts: list[str]) -> list[list[float]]:
    vectors: list[list[float]] = load_bundled().encode(texts, use_multiprocessing=False).tolist()
    return vectors


class SimulatedLatency(ByDocuments):
    """Adds waiting time to another provider's calls, for rehearsing a remote embedding service.

    One wait per call, whatever the number of texts: a remote service answers a batch in about the
    time of one text. `mean_ms` and `jitter_ms` (standard deviation) are milliseconds. The waits are
    log-normal, like those of a service: none is negative, most are short, a few are long. Their
    sequence is fixed by `seed`.
    """

    def __init__(
        self, inner: Embeddings, mean_ms: float, jitter_ms: float = 0.0, seed: int = 0
    ) -> None:
        if mean_ms < 0 or jitter_ms < 0:
            raise InvalidInput("Simulated latency and jitter must not be negative.")
        if jitter_ms and not mean_ms:
            raise InvalidInput("Waits that are 0 ms on average cannot vary.")
        self.inner = inner
        self.mean_ms = mean_ms
        self.jitter_ms = jitter_ms
        self._log_normal = log_normal(mean_ms / 1000, jitter_ms / 1000) if jitter_ms else None
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def restart(self, seed: int) -> None:
        """Begin the sequence of waits anew, so that two runs can be given the same waits."""
        with self._lock:
            self._random.seed(seed)

    def _next_wait_s(self) -> float:
        if self._log_normal is None:
            return self.mean_ms / 1000
        with self._lock:
            return self._random.lognormvariate(*self._log_normal)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Wait, then embed."""
        time.sleep(self._next_wait_s())
        return self.inner.embed_documents(texts)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Wait without blocking the loop, then embed."""
        await asyncio.sleep(self._next_wait_s())
        return await self.inner.aembed_documents(texts)


@dataclass
class EmbeddingClock:
    """The time that was spent embedding, in seconds.

    `patience_s` is how long each of them may take, tries again included. `on_wait` is told how many
    seconds are waited before the next try; `waited_s` is their sum. `sent` counts the requests to a
    remote service, `refused` those that it turned away or failed.
    """

    patience_s: float = ANSWER_S
    on_wait: Callable[[float], None] = lambda seconds: None
    seconds: float = 0.0
    waited_s: float = 0.0
    sent: int = 0
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(
        self, seconds: float = 0.0, *, waited_s: float = 0.0, sent: int = 0, refused: int = 0
    ) -> None:
        """Add a call, a wait before the next try of one, or requests."""
        with self._lock:
            self.seconds += seconds
            self.waited_s += waited_s
            self.sent += sent
            self.refused += refused


# A context variable, not a global: concurrent calls each see their own clock.
_clock: contextvars.ContextVar[EmbeddingClock | None] = contextvars.ContextVar(
    "embedding_clock", default=None
)


def embedding_clock(
    patience_s: float = WORK_S, on_wait: Callable[[float], None] = lambda seconds: None
) -> EmbeddingClock:
    """Start a clock for whatever this thread or task embeds from now on; the next one replaces it.

    It is no `with` block, because a benchmark starts a clock at every call and entering a block
    takes some microseconds.
    """
    clock = EmbeddingClock(patience_s, on_wait)
    _clock.set(clock)
    return clock


def note_embedding(seconds: float) -> None:
    """Add what another process spent embedding for this call to the clock of its context."""
    if (clock := _clock.get()) is not None:
        clock.add(seconds)


class _Tries:
    """The tries of one call to a remote service, as long as its caller's patience lasts."""

    def __init__(self) -> None:
        self._clock = _clock.get() or EmbeddingClock()
        self._started = time.monotonic()
        self._made = 0

    def next_timeout_s(self) -> float:
        """Begin a try, and return how long it may take."""
        self._clock.add(sent=1)
        left_s = self._clock.patience_s - (time.monotonic() - self._started)
        return max(min(left_s, OPENAI_TIMEOUT_S), 0.1)

    def wait_s(self, error: Exception) -> float:
        """Return how long to wait before the next try. Raises EmbeddingFailed for the last one."""
        self._made += 1
        self._clock.add(refused=1)
        took_s = time.monotonic() - self._started
        refused = refusal(error)
        asked_s = refused.retry_after_s if refused else None
        wait_s = FIRST_WAIT_S * 2 ** (self._made - 1) if asked_s is None else asked_s
        status = getattr(error, "status_code", 0)
        passes = refused or status >= 500 or "Connection" in type(error).__name__
        is_last = asked_s is None and self._made > OPENAI_RETRIES
        if not passes or is_last or took_s + wait_s >= self._clock.patience_s:
            raise explain_embedding_error(error, tries=self._made, took_s=took_s) from error
        self._clock.add(waited_s=wait_s)
        self._clock.on_wait(wait_s)
        return wait_s


class RetryingEmbeddings(ByDocuments):
    """Asks a remote service again after a refusal or a failure that may pass.

    Its client would do so too, but it would take minutes and would not say so.
    """

    def __init__(self, inner: "OpenAIEmbeddings") -> None:
        self.inner = inner

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed, trying again. Raises EmbeddingFailed when patience is at its end."""
        tries = _Tries()
        while True:
            try:
                return self.inner.embed_documents(texts, timeout=tries.next_timeout_s())
            except Exception as error:  # noqa: BLE001  # raised again unless it may pass
                time.sleep(tries.wait_s(error))

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed on the loop, trying again."""
        tries = _Tries()
        while True:
            try:
                return await self.inner.aembed_documents(texts, timeout=tries.next_timeout_s())
            except Exception as error:  # noqa: BLE001  # raised again unless it may pass
                await asyncio.sleep(tries.wait_s(error))


@contextlib.contextmanager
def _timed() -> Iterator[None]:
    clock = _clock.get()
    started = time.perf_counter()
    try:
        yield
    except Exception as error:
        # The error is worded here, because later nobody can tell the provider's from Milvus's.
        raise explain_embedding_error(error) from error
    finally:
        if clock is not None:
            clock.add(time.perf_counter() - started)


class TimedEmbeddings(ByDocuments):
    """Records the time of each embedding call on the clock of the calling context.

    A provider's failure leaves it as EmbeddingFailed. One that `is_visitors` holds a visitor's key:
    nothing keeps it after the visitor has left.
    """

    def __init__(self, inner: Embeddings, *, is_visitors: bool = False) -> None:
        self.inner = inner
        self.is_visitors = is_visitors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed and record the time."""
        with _timed():
            return self.inner.embed_documents(texts)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed and record the time."""
        with _timed():
            return await self.inner.aembed_documents(texts)


def _build_bundled(settings: Settings, retries: bool) -> Embeddings:
    if not (BUNDLED_MODEL_DIR / "config.json").is_file():
        raise EmbeddingFailed(
            "The bundled embedding model is missing from assets/.",
            next_step="Run `python -m scripts.model.distil`, or check the folder out again.",
        )
    _bundled_is_open.set()
    return BundledEmbeddings()


def _leave_out_account(request: "httpx2.Request") -> None:
    """Take out the host's account, which the library reads from the environment by itself."""
    for name in ("OpenAI-Organization", "OpenAI-Project"):
        request.headers.pop(name, None)


async def _aleave_out_account(request: "httpx2.Request") -> None:
    """Do the same for the async client."""
    _leave_out_account(request)


def _async_client(name: str) -> "httpx2.AsyncClient":
    """Return one of HTTP_CLIENTS. Raises EmbeddingFailed for one that is not installed."""
    import httpx2
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    options: Any = {"follow_redirects": False, "event_hooks": {"request": [_aleave_out_account]}}
    if name == HTTPX_MORE:
        options["limits"] = httpx2.Limits(
            max_connections=MORE_CONNECTIONS, max_keepalive_connections=MORE_CONNECTIONS
        )
    if name != AIOHTTP:
        return DefaultAsyncHttpxClient(**options)
    try:
        made = DefaultAioHttpClient(**options)
    except RuntimeError as error:
        raise EmbeddingFailed(
            "aiohttp is not installed.",
            next_step="Run pip install 'openai[aiohttp]', or take another HTTP client.",
        ) from error
    event_loop.shared()  # which ends after what is registered later
    atexit.register(_close, weakref.ref(made))
    return made


def _close(kept: "weakref.ref[httpx2.AsyncClient]") -> None:
    """Close a client before the process ends: aiohttp complains of a session that nobody closed."""
    if (client := kept()) is not None:
        with contextlib.suppress(TimeoutError, RuntimeError, LabError):
            event_loop.run(client.aclose(), CLOSE_S)


def _build_openai(settings: Settings, retries: bool) -> Embeddings:
    from langchain_openai import OpenAIEmbeddings
    from openai import DefaultHttpxClient
    from pydantic import SecretStr

    if not settings.openai_api_key:
        raise EmbeddingFailed(
            "No OpenAI key is set.",
            next_step="Set OPENAI_API_KEY (as an environment variable or a Streamlit secret), "
            "or choose the bundled model.",
        )
    embeddings = OpenAIEmbeddings(
        model=settings.openai_model,
        api_key=SecretStr(str(settings.openai_api_key)),
        base_url=settings.openai_base_url,
        # The key is for this address alone: a redirect must not send it, or the texts, elsewhere.
        http_client=DefaultHttpxClient(
            follow_redirects=False, event_hooks={"request": [_leave_out_account]}
        ),
        http_async_client=_async_client(settings.openai_http_client),
        # HTTPS_PROXY is heeded; OPENAI_PROXY cannot stand beside a client.
        openai_proxy="",
        # The client counts tokens with downloaded tables and sends token ids, which servers other
        # than OpenAI's own misread; our chunks are far below the limit, so plain text is sent.
        check_embedding_ctx_length=False,
        timeout=OPENAI_TIMEOUT_S,
        max_retries=0,
    )
    return RetryingEmbeddings(embeddings) if retries else embeddings


# What makes the embeddings of a provider of the catalogue, which may try again by themselves.
PROVIDERS: dict[str, Callable[[Settings, bool], Embeddings]] = {
    "bundled": _build_bundled,
    "openai": _build_openai,
}


@dataclass(frozen=True)
class EmbeddingModel:
    """A ready provider: its embeddings (timed), the name of its vector space, its dimension.

    The name is stored with a collection. `http_client` is that of OpenAI's async client.
    """

    embeddings: Embeddings
    model: str
    label: str
    dimension: int
    simulated_latency_ms: float = 0.0
    http_client: str = ""

    @property
    def is_remote(self) -> bool:
        """Say whether a call waits for a service, or is slowed as if it did."""
        return bool(self.simulated_latency_ms) or not self.model.startswith("bundled/")

    def slowed(self, mean_ms: float, jitter_ms: float = 0.0, seed: int = 0) -> "EmbeddingModel":
        """Return the same model with labelled simulated latency on every call."""
        if mean_ms == 0 and jitter_ms == 0:
            return self
        timed = self.embeddings if isinstance(self.embeddings, TimedEmbeddings) else None
        inner = timed.inner if timed else self.embeddings
        slow = SimulatedLatency(inner, mean_ms, jitter_ms, seed)
        return replace(
            self,
            embeddings=TimedEmbeddings(slow, is_visitors=timed is not None and timed.is_visitors),
            label=f"{self.label}, {mean_ms:g} ms latency simulated",
            simulated_latency_ms=mean_ms,
        )


def open_model(
    settings: Settings, *, retries: bool = True, is_visitors: bool = False, dimension: int = 0
) -> EmbeddingModel:
    """Build the provider that the settings name and find its dimension, unless it is given.

    One that `is_visitors` holds a visitor's own key. With `retries` a remote provider is asked
    again after a failure that may pass. The bundled model is loaded when it is first asked. Raises
    EmbeddingFailed when a provider is not configured, refuses or does not answer.
    """
    build = PROVIDERS[settings.embedding_provider]
    label = catalogue.PROVIDERS[settings.embedding_provider]
    timed = TimedEmbeddings(build(settings, retries), is_visitors=is_visitors)
    # Loading the bundled model takes a quarter of a second, and its dimension is known.
    is_bundled = settings.embedding_provider == "bundled"
    known = BUNDLED_DIMENSION if is_bundled else OPENAI_DIMENSIONS.get(settings.openai_model)
    is_openai = canonical(settings.openai_base_url) == canonical(OPENAI_ADDRESS)
    known = dimension or (known if is_bundled or is_openai else 0)
    if not known:
        # Its own clock keeps this call short, even when the caller's clock allows more time.
        callers = _clock.set(EmbeddingClock())
        try:
            known = len(timed.embed_query("dimension"))
        finally:
            _clock.reset(callers)
    is_default = settings.openai_http_client == HTTPX
    over = "" if is_default else f", over {settings.openai_http_client}"
    return EmbeddingModel(
        embeddings=timed,
        model=BUNDLED_MODEL_NAME if is_bundled else f"openai/{settings.openai_model}",
        label=label if is_bundled else f"{label}: {settings.openai_model}{over}",
        dimension=known,
        http_client="" if is_bundled else settings.openai_http_client,
    )


def explain_embedding_error(
    error: BaseException, *, tries: int = 1, took_s: float = OPENAI_TIMEOUT_S
) -> EmbeddingFailed:
    """Word a provider's exception: wrong key, rate limit, server trouble, no answer, nonsense.

    `tries` were made in `took_s` seconds.
    """
    if isinstance(error, EmbeddingFailed):
        return error
    made = f" ({tries} tries in {took_s:.1f} s)" if tries > 1 else ""
    status, name, kept = getattr(error, "status_code", None), type(error).__name__, ""
    next_step = "Check OPENAI_BASE_URL and the network."
    if status in (401, 403):
        what, kept = "refused the key", "Nothing was written."
        next_step = "Check OPENAI_API_KEY and OPENAI_BASE_URL."
    elif status == 429:
        refused = refusal(error)
        asked_s = refused.retry_after_s if refused else None
        wait = "Wait a minute," if asked_s is None else f"It asks to wait {asked_s:g} s:"
        what = f"is limiting the rate of calls{made}"
        next_step = f"{wait} then try again, with fewer calls at once."
    elif "Timeout" in name:
        what = f"did not answer within {took_s:.0f} s"
    elif "Connection" in name:
        what = f"cannot be reached{made}"
        next_step = "Check OPENAI_BASE_URL and the network, or choose the bundled model."
    elif isinstance(status, int):
        what = f"answered with HTTP {status}{made}"
        next_step = "Check OPENAI_BASE_URL and the model's name, or try again later."
    else:
        what = f"gave an answer that could not be read ({name})"
        next_step = "Check that OPENAI_BASE_URL is an OpenAI-compatible embeddings endpoint."
    return EmbeddingFailed(f"The embedding service {what}.", kept=kept, next_step=next_step)


_bundled_is_open = threading.Event()
_loading = threading.Lock()


def load_ahead() -> None:
    """Load the bundled model now if somebody has opened it, so that the first question need not."""
    if _bundled_is_open.is_set():
        load_bundled()


def load_bundled() -> "StaticModel":
    """Load the bundled model once per process; it is read-only and safe to share between threads.

    The host of the workers does so too, for all of them.
    """
    with _loading:
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> "StaticModel":
    from model2vec import StaticModel

    return StaticModel.from_pretrained(BUNDLED_MODEL_DIR, normalize=True)
