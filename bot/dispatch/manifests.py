"""Manifests of many pictures: stored before the transaction that needs one, and read again for a form."""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import replace

from bot.chats.interface import FormReply, Reply
from commands.syntax.form_files import MANIFEST_TEXT, pictures_text
from engine.messages import INLINE, Example, InvalidRequest, Manifest, Sha256, read_manifest, write_manifest
from storage.files import Files


async def store_manifest(files: Files, pictures: Sequence[Example]) -> Manifest | None:
    """Store the manifest of these pictures; None for so few that a request names them. Raises OSError."""
    if len(pictures) <= INLINE:
        return None

    def written() -> bytes:
        content = io.BytesIO()
        write_manifest(content, pictures)
        return content.getvalue()

    return Manifest(sha256=await files.put(await asyncio.to_thread(written)), pictures=len(pictures))


async def fill_in_pictures(files: Files, reply: Reply) -> Reply:
    """The reply; in a form, the pictures of a manifest in place of its hash. Raises InvalidRequest."""
    if not isinstance(reply, FormReply):
        return reply
    named = {
        name: match[1] for name, text in reply.form.values.items() if (match := MANIFEST_TEXT.fullmatch(text))
    }
    if not named:
        return reply
    values = dict(reply.form.values)
    for name, sha256 in named.items():
        try:
            values[name] = pictures_text(read_manifest(await files.get(Sha256(sha256))))
        except OSError as error:
            raise InvalidRequest("Its pictures are no longer here. Send them again.") from error
    return replace(reply, form=replace(reply.form, values=values))
