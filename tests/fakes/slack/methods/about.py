"""Who is who: auth.test, apps.connections.open, users.info, team.info."""

from tests.fakes.slack import json_views
from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.platform import Platform, Refused


def auth_test(platform: Platform, given: JSON) -> JSON:
    home = platform.home
    answer: JSON = {
        "url": platform.base_url,
        "team": home.name,
        "user": "atelier",
        "team_id": home.id,
        "user_id": home.bot,
        "bot_id": "B0ATELIER",
        "is_enterprise_install": platform.grid,
    }
    if home.enterprise:
        answer["enterprise_id"] = home.enterprise
    return answer


def teams_list(platform: Platform, given: JSON) -> JSON:
    """The workspaces for which an app of the whole enterprise is approved."""
    there = [team for team in platform.world.teams.values() if team.id not in platform.removed]
    if not platform.grid:
        there = [platform.home]
    return {
        "teams": [{"id": team.id, "name": team.name} for team in there],
        "response_metadata": {"next_cursor": ""},
    }


def connections_open(platform: Platform, given: JSON) -> JSON:
    ticket = platform.world.id("ticket-")
    base = platform.base_url.replace("http://", "ws://")
    return {"url": f"{base}link/?ticket={ticket}&app_id={platform.app_id}"}


def user_info(platform: Platform, given: JSON) -> JSON:
    user = platform.world.users.get(str(given.get("user")))
    if user is None:
        raise Refused("user_not_found")
    return {"user": {**json_views.user(user), "is_stranger": user.team is not platform.home}}


def team_info(platform: Platform, given: JSON) -> JSON:
    team = platform.world.teams.get(str(given.get("team", platform.home.id)))
    if team is None:
        raise Refused("team_not_found")
    return {"team": {**json_views.team(team), "name": team.name}}
