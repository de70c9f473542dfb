"""What a command's handler knows beside the words: which job it is, and where LoRAs are found."""

from dataclasses import dataclass

from commands.loras import Library
from engine.messages import JobId


@dataclass(frozen=True, kw_only=True)
class Context:
    """Handed to every handler by the front end that heard the command."""

    job: JobId
    library: Library
