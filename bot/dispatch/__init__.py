"""From a command, button or reaction to rows and a reply."""
