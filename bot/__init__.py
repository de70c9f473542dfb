"""Who hears and answers: the terminal now, chats later; no torch in here."""
