"""What goes over the wire: the JSON and files of a call, the JSON of an answer."""

import json
from typing import Any

from aiohttp import web

from tests.fakes.faults import CALL


def json_response(data: Any, status: int = 200) -> web.Response:
    """JSON without a charset: with one the library takes it for text."""
    return web.Response(body=json.dumps(data).encode(), status=status, content_type="application/json")


def sent_json(request: web.Request) -> Any:
    """The JSON of the call."""
    return request[CALL].json


def sent_files(request: web.Request) -> dict[str, bytes]:
    """The files of the call."""
    return request[CALL].files
