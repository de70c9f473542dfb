"""The web chat: its server, access to it, the websocket of a page, files over HTTP, and the page itself."""
