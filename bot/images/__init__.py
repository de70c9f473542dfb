"""Images that the bot draws itself: sheets of pictures, loss curves, charts."""
