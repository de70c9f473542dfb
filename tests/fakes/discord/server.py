"""The web server of the fake: every call is recorded, then faults, limits and rules have their say."""

from aiohttp import web

from tests.fakes.discord.exchange import json_response
from tests.fakes.discord.limits import Limits
from tests.fakes.discord.rules import Refused
from tests.fakes.faults import CALL, Call, Fault, Faults, Handler, read_call

API = "/api/v10"
LARGEST = 1 << 26
CODES = {Fault.FORBIDDEN: 50013, Fault.MISSING: 10008, Fault.TOO_LARGE: 40005, Fault.REFUSED: 50035}


def refusal(fault: Fault, status: int, seconds: float) -> web.Response:
    """How Discord words a planned fault."""
    if fault is Fault.LIMITED:
        return too_many(seconds)
    if fault is Fault.BANNED:  # as Cloudflare does: no JSON, and no Via
        return web.Response(
            text="<html>Error 1015: rate limited</html>", content_type="text/html", status=429
        )
    return json_response({"code": CODES.get(fault, 0), "message": f"{status}: {fault.value}"}, status)


def too_many(seconds: float) -> web.Response:
    """429; the library believes it only with a Via header."""
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
    response = json_response(body, 429)
    response.headers.update({"Via": "1.1 google", "Retry-After": str(seconds)})
    return response


class Server:
    """Serves on a free port of this machine."""

    def __init__(self, token: str, routes: list[web.RouteDef], others: list[web.RouteDef]) -> None:
        self._token = token
        self.record: list[Call] = []
        self.faults = Faults(refusal)
        self.limits = Limits()
        self.port = 0

        @web.middleware
        async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._serve(request, handler)

        app = web.Application(client_max_size=LARGEST, middlewares=[serve])
        app.add_routes(
            [web.RouteDef(route.method, API + route.path, route.handler, route.kwargs) for route in routes]
        )
        app.add_routes(others)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(API):
            return await handler(request)
        call = await read_call(request, request.path.removeprefix(API))
        request[CALL] = call
        self.record.append(call)
        seconds = self.limits.wait(call)
        response = (
            too_many(seconds)
            if seconds
            else await self.faults.through(request, self._with_rules(handler), call)
        )
        response.headers.update(self.limits.headers(call))
        if call.fault is None or not call.fault.cuts:
            call.status = response.status
        return response

    def _with_rules(self, handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                if not self._is_known_call(request):
                    raise Refused(401, 0, "401: Unauthorized")
                return await handler(request)
            except Refused as refused:
                request[CALL].code = refused.code
                return json_response({"code": refused.code, "message": refused.message}, refused.status)
            except web.HTTPException as missing:
                return json_response(
                    {"code": 0, "message": f"{missing.status}: {missing.reason}"}, missing.status
                )

        return handle

    def _is_known_call(self, request: web.Request) -> bool:
        if request.path.startswith((f"{API}/interactions/", f"{API}/webhooks/")):
            return True  # their token is in the path
        return request.headers.get("Authorization") == f"Bot {self._token}"
