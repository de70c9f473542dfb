"""`python -m tests.bot.quick_bot NOTES SECONDS --config FILE`: the bot as it is, with a quick engine."""

import sys

from bot import service
from tests.bot.quick_engine import QUICK_ENGINE

if __name__ == "__main__":
    notes, seconds, *words = sys.argv[1:]
    sys.exit(service.main(words, (*QUICK_ENGINE, notes, seconds)))
