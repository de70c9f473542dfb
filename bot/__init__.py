"""Hears people in chats and in the terminal, runs their jobs, and answers; torch is never loaded here."""
