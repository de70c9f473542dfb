"""The chats: what each must do, and what all of them share."""
