"""The bot's side of the engine process."""
