"""One call of an OpenAI-compatible chat-completions endpoint: the answer's text, or why there is none.

The key goes into the request's header and nowhere else; redirects, which would carry it elsewhere, are not followed.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from typing import Any

from openmoon.data.text import is_torn

FATAL = frozenset({301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405})
UNPAID = "insufficient_quota"  # a 429 that no waiting helps
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})  # worth another try
SAID = 200  # characters of a server's reason


class Failure(Exception):
    """No usable answer; the message is the reason. `fatal` reasons would be the same for every product, or `perhaps` are this
    one's alone; `own` reasons surely are."""

    def __init__(
        self, reason: str, fatal: bool = False, passing: bool = False, wait: float = 0.0, perhaps: bool = False,
        own: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reason)
        self.fatal, self.passing, self.wait, self.perhaps, self.own = fatal, passing, wait, perhaps, own


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def post(address: str, body: bytes, key: str | None, timeout: float) -> bytes:
    """What the server answers to `body`; `Failure` where that is no success."""
    headers = {"Content-Type": "application/json", "User-Agent": "openmoon"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    call = urllib.request.Request(address, body, headers, method="POST")
    try:
        with _OPENER.open(call, timeout=timeout) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            wait = error.headers.get("Retry-After", "") if error.headers else ""
            said = _said(error)
        unpaid = isinstance(said, dict) and UNPAID in (said.get("code"), said.get("type"))
        raise Failure(f"HTTP {error.code} {http.client.responses.get(error.code, '')}".strip() + _reason(said, key),
                      fatal=error.code in FATAL or unpaid, perhaps=error.code == 400,
                      passing=error.code in PASSING and not unpaid,
                      wait=float(wait) if re.fullmatch("[0-9]{1,9}", wait) else 0.0) from error  # fmt: skip
    except TimeoutError as error:
        raise Failure("timeout", passing=True) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise Failure("timeout", passing=True) from error
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise Failure(f"cannot be reached ({reason})", fatal=True, passing=True) from error
    except (http.client.HTTPException, OSError) as error:
        raise Failure(f"connection broke ({type(error).__name__})", passing=True) from error


def _said(error: urllib.error.HTTPError) -> Any:
    """What the server says of a refusal: an object with its parts, or a text; None where it says nothing readable."""
    try:
        said = json.loads(error.read())
    except (ValueError, RecursionError, OSError, http.client.HTTPException):
        return None
    return said.get("error", said.get("detail", said.get("message"))) if isinstance(said, dict) else None


def _reason(said: Any, key: str | None) -> str:
    """That in one short line without the key."""
    said = said.get("message") if isinstance(said, dict) else said
    if not isinstance(said, str):
        return ""
    said = "".join(letter if letter.isprintable() else " " for letter in said)
    said = " ".join((said.replace(key, "(the key)") if key else said).split())
    return f" ({said[:SAID].rstrip('.')}{'…' if len(said) > SAID else ''})" if said else ""


def text_of(response: bytes) -> str:
    """The text of an answer; `Failure` where it is none, is cut off or empty."""
    try:
        choice = json.loads(response)["choices"][0]
        content = choice["message"]["content"]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError) as error:
        raise Failure("not a chat-completions answer", passing=True) from error
    if isinstance(content, list):  # some servers answer in parts
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = " ".join(part for part in parts if isinstance(part, str))
    text = " ".join(content.split()).strip('"“” ') if isinstance(content, str) else ""
    if choice.get("finish_reason") in ("length", "content_filter"):
        filtered = choice["finish_reason"] == "content_filter"
        raise Failure("cut off by the endpoint's filter" if filtered else
                      "cut off in the middle; raise max_tokens in augment.texts.endpoint.parameters", own=filtered)  # fmt: skip
    if not text:
        raise Failure("empty answer")
    if is_torn(text):
        raise Failure("holds letters that are none (lone surrogates)")
    return text
