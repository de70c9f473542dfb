"""How words become values, whatever the command."""
