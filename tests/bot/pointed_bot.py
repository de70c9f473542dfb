"""`python -m tests.bot.pointed_bot DISCORD NOTES SECONDS --config FILE`: the bot, told where Discord is."""

import sys

import discord

from bot import service
from tests.bot.quick_engine import QUICK_ENGINE

if __name__ == "__main__":
    discord.http.Route.BASE, notes, seconds, *words = sys.argv[1:]
    sys.exit(service.main(words, (*QUICK_ENGINE, notes, seconds)))
