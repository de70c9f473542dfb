"""Who may enter the local chat: the right host, the right origin, the right token, and who they are."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from bot.chats.web import page_files
from bot.chats.web.token_throttle import Guesses
from bot.config import is_loopback
from bot.http.bodies import PATIENCE, utf8_of
from bot.http.connections import welcome

PERSON = "atelier_person"  # the cookie with a person's secret
KEY = "atelier_key"  # the cookie of those who once gave the token
KEEP = 400 * 24 * 3600  # seconds: browsers allow no more
SECRET = re.compile(r"[A-Za-z0-9_-]{32,128}", re.ASCII)  # what a person's cookie may hold
OPEN = ("/token", "/healthz")  # what those without the token get beside the page's files
LONGEST_TOKEN = 1024  # bytes
KNOWN = web.RequestKey("known", bool)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Doors:
    """Stands before every route. Without a token only this machine's own names for itself are let in."""

    def __init__(self, token: str | None, secret: bytes, *, patience: float = PATIENCE) -> None:
        """`secret`: what cookies are made with, so that nobody can try tokens as cookies."""
        self._token = token
        self._cookie = hmac.new(secret, (token or "").encode(), "sha256").hexdigest()
        self._guesses = Guesses()
        self._patience = patience
        self._open = frozenset({*page_files.addresses(), *OPEN})

    def guard(self, app: web.Application) -> None:
        """Put every route of this application behind the doors."""
        app.middlewares.append(self._watch)
        app.on_response_prepare.append(_mark)
        app.router.add_post("/token", self._ask)

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is None and not _names_this_machine(request.host):
            # Another site's name that was pointed at this machine (DNS rebinding) would end here.
            raise web.HTTPForbidden(text="this chat answers to localhost only.")
        writes = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
        if writes and not _same_origin(request):
            raise web.HTTPForbidden(text="this comes from another site, and is not taken.")
        request[KNOWN] = await self._knows(request)
        if request.path not in self._open and not request[KNOWN]:
            raise web.HTTPUnauthorized(text="this chat asks for its token.")
        if request[KNOWN]:
            welcome(request)
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise web.HTTPUnsupportedMediaType(text="a body must not be compressed.")
        return await handler(request)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        """POST /token: the token as the body; from then on a cookie stands for it."""
        if not await self._is_token(request, await utf8_of(request, LONGEST_TOKEN, self._patience)):
            raise web.HTTPUnauthorized(text="this is not the token.")
        response = web.Response(status=204)
        response.set_cookie(KEY, self._cookie, max_age=KEEP, httponly=True, samesite="Strict")
        return response

    async def _knows(self, request: web.Request) -> bool:
        """Whether they were let in before, or bring the token. A wrong token ends the request."""
        if self._token is None or equal(request.cookies.get(KEY, ""), self._cookie):
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        if not await self._is_token(request, given):
            raise web.HTTPUnauthorized(text="this is not the token.")
        return True

    async def _is_token(self, request: web.Request, given: str) -> bool:
        """Whether it is. Raises HTTPTooManyRequests where too many guesses wait already."""
        async with self._guesses.turn(request.remote or "") as guess:
            guess.right = self._token is not None and equal(given.strip(), self._token)
        return guess.right


def person_of(request: web.Request) -> str | None:
    """The key of the person whose browser this is, if it was greeted before."""
    secret = request.cookies.get(PERSON, "")
    return hashlib.sha256(secret.encode()).hexdigest()[:16] if SECRET.fullmatch(secret) else None


def greet(request: web.Request, response: web.StreamResponse) -> None:
    """Give a new browser a secret of its own; an old one keeps its secret.

    Not on the page itself: a link on another site opens it without the cookies, and would make a new person.
    """
    secret = request.cookies[PERSON] if person_of(request) else secrets.token_urlsafe(32)
    response.set_cookie(PERSON, secret, max_age=KEEP, httponly=True, samesite="Strict")


def _names_this_machine(host: str) -> bool:
    """Whether a Host header, which may have a port, means the machine itself."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _same_origin(request: web.Request) -> bool:
    try:
        return urlsplit(request.headers.get("Origin", "")).netloc == request.host
    except ValueError:
        return False


def equal(given: str, right: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing; what came may be any bytes."""
    return hmac.compare_digest(*(text.encode(errors="surrogatepass") for text in (given, right)))


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
