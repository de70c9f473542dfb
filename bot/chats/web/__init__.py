"""The web chat: its server, its access rules, the websocket of a page, files over HTTP, and the page itself."""
