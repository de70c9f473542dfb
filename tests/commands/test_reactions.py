"""An emoji under a card does what its button does, and any other emoji is only an emoji."""

import pytest

from commands.reactions import applies, find_action
from tests.commands.chat import Chat


@pytest.mark.parametrize(
    ("emoji", "action"),
    [
        ("🔁", "again"),
        ("🎲", "vary"),
        ("❌", "stop"),
        ("⭐", "keep"),
        ("⭐\ufe0f", "keep"),
        ("✉", "send"),
        ("🔍", "upscale"),
        ("✉\ufe0f", "send"),
        ("🌟", None),
        ("👍", None),
        ("star", None),
        ("", None),
        ("❌❌", None),
    ],
)
def test_six_emoji_mean_something(emoji: str, action: str | None) -> None:
    assert find_action(emoji, added=True) == action


def test_taken_away_only_the_star_means_something() -> None:
    assert [emoji for emoji in "🔁🎲🔍❌⭐✉" if find_action(emoji, added=False)] == ["⭐"]


async def test_what_has_no_button_now_means_nothing(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    queued = await chat.sees(job)
    painted = await chat.paints(job)

    assert not any(
        applies(queued, action, mine=True) for action in ("again", "vary", "upscale", "keep", "send")
    )
    assert all(
        applies(painted, action, mine=False) for action in ("again", "vary", "upscale", "keep", "send")
    )
    assert [applies(card, "stop", mine=mine) for card in (queued, painted) for mine in (True, False)] == [
        True,
        False,
        True,
        False,
    ]
    training = await chat.sees(await chat.drafts("ana"))
    assert not any(
        applies(training, action, mine=True) for action in ("again", "vary", "upscale", "keep", "send")
    )
