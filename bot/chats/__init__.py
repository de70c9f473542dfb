"""The chats, and what all of them share."""
