"""The bot's side of the engine: its process, the pending jobs, and a watchdog."""
