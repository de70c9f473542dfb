"""Whether somebody may use the LoRAs of a recipe."""

from collections.abc import Iterable

from commands.context import ChatContext
from commands.syntax.parser import join_list
from engine.messages import AdapterUse, InvalidRequest
from storage import adapters


async def check_adapters(context: ChatContext, uses: Iterable[AdapterUse]) -> None:
    """Raise InvalidRequest unless the person may use all of these."""
    barred = await adapters.forbidden_names(
        context.session, context.space.id, context.person.id, [use.sha256 for use in uses]
    )
    if barred:
        raise InvalidRequest(
            f"The LoRA {join_list(barred)} is not shared with you, or was retired or deleted."
        )
