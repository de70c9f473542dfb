"""`python -m bot`: the program that people talk to."""

import sys

from bot.terminal import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
