"""Enriched texts T⁺ by a vision-language model behind an OpenAI-compatible chat-completions endpoint.

Every request is known by the hash of its content: a whole answer is kept as it comes and never asked, or paid, for again. The
key goes into the request's header and nowhere else; redirects, which would carry it elsewhere, are not followed.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from PIL import Image

from openmoon.data.coaugment.journal import Journal
from openmoon.data.coaugment.product import Product
from openmoon.data.images import ImageRejected, load_image
from openmoon.errors import UserError
from openmoon.io import content_hash

INSTRUCTIONS = (
    "You write product texts for a shop's search engine. From the title, the attributes and the picture of one product, write "
    "one enriched text of one to three sentences in the language of the title. Name what it is, its material, colour, pattern, "
    "shape and use as far as they are given or plainly visible. Keep every brand name, number, size and model code of the title "
    "letter by letter, name no other brand, and claim nothing that is neither given nor visible. Answer with the text alone."
)
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})  # worth another try
LONGEST_WAIT = 60.0  # seconds between two tries
HOPELESS = 3  # requests that fail for a fatal reason before the endpoint answered anything
SAID = 200  # characters of a server's reason


class Request(NamedTuple):
    """What is asked for a product: what its texts say and, where there is one, the picture."""

    product: Product
    picture: Path | None


class Failure(Exception):
    """No usable answer; the message is the reason. `fatal` reasons would be the same for every product, or `perhaps` are this
    one's alone."""

    def __init__(
        self, reason: str, fatal: bool = False, passing: bool = False, wait: float = 0.0, perhaps: bool = False
    ) -> None:
        super().__init__(reason)
        self.fatal, self.passing, self.wait, self.perhaps = fatal, passing, wait, perhaps


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
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[tuple[int, str | Failure]]:
    """Yield the place in `requests` and the text, or why there is none, as they come; new texts go into `answers`.

    Raises `UserError` for an address that is none, and when the endpoint cannot be reached or refuses the key, `HOPELESS` times
    before this run had any answer of it: it would be so for every product. Other failures are only reported, and asked again by
    the next run.
    """  # fmt: skip
    if not _is_address(endpoint.url):
        raise UserError(f"augment.texts.endpoint.url: {endpoint.url!r} is no address; expected http(s)://host/v1.")
    succeeded, hopeless, before = False, 0, len(answers) > 0
    pool = ThreadPoolExecutor(endpoint.concurrency)
    try:
        pending = {pool.submit(_ask, endpoint, request, answers, sleep): n for n, request in enumerate(requests)}
        for done in as_completed(pending):
            answer: str | Failure
            try:
                answer, fresh = done.result()
                succeeded |= fresh
            except Failure as failure:
                hopeless += failure.fatal and not (failure.perhaps and before)
                if not succeeded and hopeless >= min(HOPELESS, len(requests)):
                    raise UserError(f"augment.texts.endpoint: {endpoint.address}: {failure}. Check url, model and key, or leave "
                                    "the endpoint out; the same command goes on from here.") from None  # fmt: skip
                answer = failure
            advance(1)
            yield pending[done], answer
    finally:
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


def _ask(endpoint: Endpoint, request: Request, answers: Journal, sleep: Callable[[float], object]) -> tuple[str, bool]:
    """The text, and whether the endpoint was asked for it now."""
    body = _body(endpoint, request)
    key = content_hash(endpoint.address, body)
    known = key in answers
    return str(answers.once(key, lambda: _with_retries(endpoint, body, sleep))), not known


def _with_retries(endpoint: Endpoint, body: bytes, sleep: Callable[[float], object]) -> str:
    for tried in range(endpoint.retries + 1):
        try:
            return _text_of(_post(endpoint, body))
        except Failure as failure:
            if not failure.passing or tried == endpoint.retries:
                raise
            sleep(min(LONGEST_WAIT, max(failure.wait, endpoint.backoff * 2**tried)))
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
        picture = Image.fromarray(load_image(path, None))
    except ImageRejected as error:
        raise Failure(f"picture {error}") from error
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _post(endpoint: Endpoint, body: bytes) -> bytes:
    headers = {"Content-Type": "application/json", "User-Agent": "openmoon"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    call = urllib.request.Request(endpoint.address, body, headers, method="POST")
    try:
        with _OPENER.open(call, timeout=endpoint.timeout) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            wait = error.headers.get("Retry-After", "") if error.headers else ""
            said = _reason(error, endpoint.key)
        raise Failure(f"HTTP {error.code} {http.client.responses.get(error.code, '')}".strip() + said,
                      fatal=error.code in (301, 302, 303, 307, 308, 400, 401, 403, 404, 405), perhaps=error.code == 400,
                      passing=error.code in PASSING,
                      wait=float(wait) if wait.isdigit() else 0.0) from error  # fmt: skip
    except TimeoutError as error:
        raise Failure("timeout", passing=True) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise Failure("timeout", passing=True) from error
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise Failure(f"cannot be reached ({reason})", fatal=True, passing=True) from error
    except (http.client.HTTPException, OSError) as error:
        raise Failure(f"connection broke ({type(error).__name__})", passing=True) from error


def _reason(error: urllib.error.HTTPError, key: str | None) -> str:
    """What the server says of a refusal, in one short line without the key; nothing where it says nothing readable."""
    try:
        said = json.loads(error.read())
        said = said.get("error", said.get("detail", said.get("message")))
        said = said.get("message") if isinstance(said, dict) else said
    except (ValueError, AttributeError, OSError, http.client.HTTPException):
        return ""
    if not isinstance(said, str):
        return ""
    said = "".join(letter if letter.isprintable() else " " for letter in said)
    said = " ".join((said.replace(key, "(the key)") if key else said).split())
    return f" ({said[:SAID].rstrip('.')}{'…' if len(said) > SAID else ''})" if said else ""


def _text_of(response: bytes) -> str:
    try:
        choice = json.loads(response)["choices"][0]
        content = choice["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Failure("not a chat-completions answer", passing=True) from error
    if isinstance(content, list):  # some servers answer in parts
        content = " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    text = " ".join(content.split()).strip('"“” ') if isinstance(content, str) else ""
    if choice.get("finish_reason") in ("length", "content_filter"):
        raise Failure("cut off by the endpoint's filter" if choice["finish_reason"] == "content_filter" else
                      "cut off in the middle; raise max_tokens in augment.texts.endpoint.parameters")  # fmt: skip
    if not text:
        raise Failure("empty answer")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Failure("holds letters that are none (lone surrogates)")
    return text
