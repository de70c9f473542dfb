"""The engine's loop: take the requests that have come, then one step."""

from engine.messages import Shutdown, ToBot
from engine.studio import Studio


def serve(inbox: ToBot, studio: Studio) -> None:
    """Accept requests as they come and take steps in between, waiting only when idle.

    Returns on Shutdown, or when the bot's end of the socket is closed.
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
