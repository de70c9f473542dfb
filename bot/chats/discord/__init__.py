"""Discord: the bot as a member of guilds and as people's own app. Nothing else knows discord.py."""
