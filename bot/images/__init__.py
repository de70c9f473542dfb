"""Images that the bot draws itself: sheets, curves, charts."""
