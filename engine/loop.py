"""The engine's loop: one step, then look up."""

from engine.messages import Shutdown, ToBot
from engine.studio import Studio


def serve(inbox: ToBot, studio: Studio) -> None:
    """The whole life of the engine process: take what has come (waiting only when idle), then take one step.

    Returns on Shutdown, or when the bot's end of the connection is gone.
    """
    try:
        while True:
            while inbox.poll(None if studio.idle else 0):
                request = inbox.receive()
                if isinstance(request, Shutdown):
                    return
                for event in studio.accept(request):
                    inbox.send(event)
            for event in studio.step():
                inbox.send(event)
    except (EOFError, ConnectionError):
        return
