"""The engine's loop: take the requests that have come, then one step."""

from engine.messages import Shutdown, ToBot
from engine.studio import Studio

PAUSE = 0.5  # seconds without a request after which an idle engine prepares for the next


def serve(inbox: ToBot, studio: Studio) -> None:
    """Accept requests as they come and take steps in between, waiting only when idle.

    Returns on Shutdown, or when the bot's end of the socket is closed.
    """
    try:
        while True:
            while inbox.poll(_wait_seconds(studio)):
                request = inbox.receive()
                if isinstance(request, Shutdown):
                    return
                for event in studio.accept(request):
                    inbox.send(event)
            if studio.idle:
                studio.prepare_next()
                continue
            for event in studio.step():
                inbox.send(event)
    except (EOFError, ConnectionError):
        return


def _wait_seconds(studio: Studio) -> float | None:
    """How long to wait for a request: not at all while there is work, for ever where there is none."""
    if not studio.idle:
        return 0
    return PAUSE if studio.can_prepare else None
