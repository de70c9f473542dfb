"""LoRAs in Block Kit: a section for each, with what it paints beside it."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import structlog

from bot.on_slack.refusals import TROUBLES, error_of
from bot.on_slack.sharing import NotShared, Sharing
from bot.on_slack.words import JSON, context, literal, section
from bot.sheets import thumbnail
from bot.worded import short
from commands.gallery import LoraCard
from engine.messages import Sha256
from storage.files import Files

SHOWN = 12  # cards of one answer; the words before them tell of all
IN_A_MESSAGE = 12  # at four blocks each, of 50
KEPT = 200  # pictures that Slack has of us

log = structlog.get_logger(__name__)


class Gallery:
    """Makes messages of cards; a picture is sent to Slack once and shared with no channel."""

    def __init__(self, sharing: Sharing, files: Files) -> None:
        self._sharing = sharing
        self._files = files
        self._known: OrderedDict[Sha256, str] = OrderedDict()

    async def messages(self, cards: Sequence[LoraCard]) -> list[list[JSON]]:
        """The blocks of each message that shows these."""
        made = [await self._card(one) for one in cards[:SHOWN]]
        starts = range(0, len(made), IN_A_MESSAGE)
        return [[block for card in made[at : at + IN_A_MESSAGE] for block in card] for at in starts]

    async def _card(self, card: LoraCard) -> list[JSON]:
        told = section(short(f"{card.name}\n{card.phrase}" if card.phrase else card.name, 300))
        file = None if card.thumbnail is None else await self._file(card.name, card.thumbnail)
        if file is not None:
            alt = f"what {card.name} paints"
            told["accessory"] = {"type": "image", "slack_file": {"id": file}, "alt_text": alt}
        return [told, context(card.words), literal(card.line), {"type": "divider"}]

    async def _file(self, name: str, sha256: Sha256) -> str | None:
        """Slack's id of this picture; None where it cannot be had."""
        if sha256 not in self._known:
            try:
                content = await asyncio.to_thread(thumbnail, await self._files.get(sha256))
                self._known[sha256] = await self._sharing.keep(f"{name}.jpg", content)
            except (*TROUBLES, NotShared, OSError) as error:
                log.warning("the picture of a LoRA was not shared", reason=error_of(error))
                return None
            while len(self._known) > KEPT:
                _, old = self._known.popitem(last=False)
                await self._sharing.remove(old)
        return self._known[sha256]
