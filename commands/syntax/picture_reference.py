"""Pictures as people say them: one that was sent, or one of a job such as k3f9qa:2, or its link."""

import re
from dataclasses import dataclass

from commands.syntax.form_files import HASH
from commands.syntax.parser import shorten
from engine.messages import COUNT, InvalidRequest, JobId, Sha256

JOB = re.compile(r"([0-9a-z]{6})(?:\s*[:#/]\s*(\d{1,3}))?", re.ASCII)
DISCORD = re.compile(
    r"https://(?:\w+\.)?discord(?:app)?\.com/channels/(?:\d+|@me)/(\d{1,20})/(\d{1,20})/?", re.ASCII
)
SLACK = re.compile(r"https://[\w.-]+\.slack\.com/archives/(\w+)/p(\d{10})(\d{6})(?:\?(\S*))?", re.ASCII)
THREAD = re.compile(r"(?:^|[&;])thread_ts=(\d{10}\.\d{6})", re.ASCII)  # a picture hangs from its card


@dataclass(frozen=True, kw_only=True)
class PictureReference:
    """One picture: by the hash of what was sent, by its job and place there (from 1), or by its message.

    Place 0 is the picture that the job itself started from.

    `message` is what a job's row calls the message, and `link` its address. `size` is (width, height) in
    pixels where that is known already.
    """

    sha256: Sha256 | None = None
    job: JobId | None = None
    place: int | None = None
    message: str = ""
    link: str = ""
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Text that is read as this picture."""
        if self.job is None:
            return self.sha256 or self.link
        return self.job if self.place is None else f"{self.job}:{self.place}"


def read_picture_reference(text: str) -> PictureReference:
    """The picture that this text says. Raises InvalidRequest."""
    words = text.strip().strip("<>")
    if HASH.fullmatch(words):
        return PictureReference(sha256=Sha256(words))
    if link := DISCORD.fullmatch(words):
        return PictureReference(message=f"{link[1]}-{link[2]}", link=words)
    if link := SLACK.fullmatch(words):
        thread = THREAD.search(link[4] or "")
        shown = thread[1] if thread else f"{link[2]}.{link[3]}"
        return PictureReference(message=f"{link[1]}-{shown}", link=words)
    if job := JOB.fullmatch(words.lower()):
        place = int(job[2]) if job[2] else None
        if place is not None and place > COUNT[1]:
            raise InvalidRequest(f"A job has pictures 1 to {COUNT[1]}, so there is no picture {place}.")
        return PictureReference(job=JobId(job[1]), place=place)
    raise InvalidRequest(
        f"{shorten(text)!r} is no picture. Send one, or name a job's, such as k3f9qa or k3f9qa:2."
    )
