"""Enriched texts T⁺ by a vision-language model behind an OpenAI-compatible chat-completions endpoint.

Every request is known by the hash of its content: a whole answer is kept as it comes and never asked, or paid, for again.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from PIL import Image

from openmoon.data.coaugment.chat import Failure, post, text_of
from openmoon.data.coaugment.journal import Journal
from openmoon.data.coaugment.product import Product
from openmoon.data.images import ImageRejected, load_limited
from openmoon.errors import UserError
from openmoon.io import content_hash

INSTRUCTIONS = (
    "You write product texts for a shop's search engine. From the title, the attributes and the picture of one product, write "
    "one enriched text of one to three sentences in the language of the title. Name what it is, its material, colour, pattern, "
    "shape and use as far as they are given or plainly visible. Keep every brand name, number, size and model code of the title "
    "letter by letter, name no other brand, and claim nothing that is neither given nor visible. Answer with the text alone."
)
LONGEST_WAIT = 60.0  # seconds between two tries
HOPELESS = 3  # requests that fail for a fatal reason before the endpoint answered anything
DOWN = 3  # failures in a row, for each request under way at once, after which the endpoint is taken to be down


class Request(NamedTuple):
    """What is asked for a product: what its texts say and, where there is one, the picture."""

    product: Product
    picture: Path | None


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask. `url` ends in `/v1` or in `/chat/completions`; `key` may be None for servers that want none."""

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 60.0  # seconds
    retries: int = 4
    backoff: float = 1.0  # seconds before the second try, doubled for each further one
    concurrency: int = 8
    side: int = 512  # pixels of the longer side of the picture that is sent
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"max_tokens": 200, "temperature": 0})  # of the request

    @property
    def address(self) -> str:
        """The full address of the chat-completions call."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        return parts._replace(path=path if path.endswith("/chat/completions") else f"{path}/chat/completions").geturl()


def ask_all(
    endpoint: Endpoint, requests: Sequence[Request], answers: Journal, advance: Callable[[int], object] = lambda done: None,
    pause: Callable[[float], object] | None = None,
) -> Iterator[tuple[int, str | Failure]]:
    """Yield the place in `requests` and the text, or why there is none, as they come; new texts go into `answers`.

    Raises `UserError` for an address that is none; when the endpoint cannot be reached or refuses the key, `HOPELESS` times
    before this run had any answer of it: it would be so for every product; and after `DOWN` times `concurrency` failures in a
    row, of any kind before there is an answer of this or an earlier run, of a server in trouble later. Other failures are only
    reported, and asked again by the next run. `pause` waits between two tries and returns whether to give up; by default it ends
    when the caller stops.
    """  # fmt: skip
    if not _is_address(endpoint.url):
        raise UserError(f"augment.texts.endpoint.url: {endpoint.url!r} is no address; expected http(s)://host/v1.")
    succeeded, hopeless, down = False, 0, 0
    before = len(answers) > 0  # whether it ever answered
    stopped = Event()
    pool = ThreadPoolExecutor(endpoint.concurrency)
    try:
        pending = {pool.submit(_ask, endpoint, request, answers, pause or stopped.wait): n for n, request in enumerate(requests)}
        for done in as_completed(pending):
            answer: str | Failure
            try:
                answer, fresh = done.result()
                succeeded, before, down = succeeded or fresh, True, 0
            except Failure as failure:
                hopeless += failure.fatal and not (failure.perhaps and before)
                trouble = failure.passing or (failure.fatal and not failure.perhaps)
                down += trouble if before else not failure.own
                if down >= DOWN * endpoint.concurrency or (not succeeded and hopeless >= min(HOPELESS, len(requests))):
                    raise UserError(f"augment.texts.endpoint: {endpoint.address}: {failure}. Check url, model and key, or leave "
                                    "the endpoint out; the same command goes on from here.") from None  # fmt: skip
                answer = failure
            advance(1)
            yield pending[done], answer
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)


def is_visible(text: str) -> bool:
    """Whether a text is nothing but visible ASCII letters, as addresses and keys are."""
    return re.fullmatch(r"[!-~]+", text) is not None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname)
        return is_visible(url) and named and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number
        return False


def _ask(endpoint: Endpoint, request: Request, answers: Journal, pause: Callable[[float], object]) -> tuple[str, bool]:
    """The text, and whether the endpoint was asked for it now."""
    body = _body(endpoint, request)
    key = content_hash(endpoint.address, body)
    known = key in answers
    return str(answers.once(key, lambda: _with_retries(endpoint, body, pause))), not known


def _with_retries(endpoint: Endpoint, body: bytes, pause: Callable[[float], object]) -> str:
    for tried in range(endpoint.retries + 1):
        try:
            return text_of(post(endpoint.address, body, endpoint.key, endpoint.timeout))
        except Failure as failure:
            if not failure.passing or tried == endpoint.retries:
                raise
            if pause(min(LONGEST_WAIT, max(failure.wait, endpoint.backoff * 2**tried))):
                raise
    raise AssertionError("the last try returns or raises")


def _body(endpoint: Endpoint, request: Request) -> bytes:
    product = request.product
    facts = {"title": product.title, "category": product.category, **product.attributes, "description": product.description}
    given = "\n".join(f"{name}: {value}" for name, value in facts.items() if value)
    content: list[dict[str, Any]] = [{"type": "text", "text": given}]
    if request.picture is not None:
        content.append({"type": "image_url", "image_url": {"url": _data_url(request.picture, endpoint.side)}})
    messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": content}]
    return json.dumps({"model": endpoint.model, "messages": messages, **endpoint.parameters}, ensure_ascii=False).encode()


def _data_url(path: Path, side: int) -> str:
    try:
        picture = Image.fromarray(load_limited(path, side))
    except ImageRejected as error:
        raise Failure(f"picture {error}", own=True) from error
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
