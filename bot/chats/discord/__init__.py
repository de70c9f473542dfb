"""Discord: the bot as a member of guilds and as people's own app; nothing else knows discord.py."""
