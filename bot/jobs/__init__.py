"""Jobs between the table and the engine: claimed, followed, and ended."""
