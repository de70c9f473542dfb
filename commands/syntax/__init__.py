"""How words become values. Knows no command."""
