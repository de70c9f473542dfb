"""Who may enter the local chat: the right host, the right origin, the right token, and who they are."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from bot.config import is_loopback
from bot.local.page import STATIC

PERSON = "atelier_person"  # the cookie with a person's secret
KEY = "atelier_key"  # the cookie of those who once gave the token
KEEP = 400 * 24 * 3600  # seconds: browsers allow no more
OPEN = frozenset({*STATIC, "/token", "/healthz"})  # what those without the token get
WRONG_TOKEN_PAUSE = 1.0  # seconds: guesses come one after another
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

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._guessing = asyncio.Lock()

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
        if request.path not in OPEN and not self._knows(request):
            raise web.HTTPUnauthorized(text="this chat asks for its token.")
        return await handler(request)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        """POST /token: the token as the body; from then on a cookie stands for it."""
        given = await request.text()
        if self._token is None or not _equal(given.strip(), self._token):
            async with self._guessing:
                await asyncio.sleep(WRONG_TOKEN_PAUSE)
            raise web.HTTPUnauthorized(text="this is not the token.")
        response = web.Response(status=204)
        response.set_cookie(KEY, _stands_for(self._token), max_age=KEEP, httponly=True, samesite="Strict")
        return response

    def _knows(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _equal(given.strip(), self._token):
            return True
        return _equal(request.cookies.get(KEY, ""), _stands_for(self._token))


def person_of(request: web.Request) -> str | None:
    """The key of the person whose browser this is, if it was greeted before."""
    secret = request.cookies.get(PERSON, "")
    return hashlib.sha256(secret.encode()).hexdigest()[:16] if 32 <= len(secret) <= 128 else None


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


def _stands_for(token: str) -> str:
    return hmac.new(token.encode(), b"atelier's page", "sha256").hexdigest()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
