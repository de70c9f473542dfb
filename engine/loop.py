"""The engine's loop: one step, then look up."""

from multiprocessing.connection import Connection

from engine.messages import Request, Shutdown
from engine.studio import Studio


def serve(inbox: Connection, studio: Studio) -> None:
    """The whole life of the engine process: take what has come (waiting only when idle), then take one step.

    Returns on Shutdown, or when the bot's end of the connection is gone.
    """
    try:
        while True:
            while inbox.poll(None if studio.idle else 0):
                request: Request = inbox.recv()
                if isinstance(request, Shutdown):
                    return
                for event in studio.accept(request):
                    inbox.send(event)
            for event in studio.step():
                inbox.send(event)
    except (EOFError, ConnectionError):
        return
