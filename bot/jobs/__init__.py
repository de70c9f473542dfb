"""Jobs between the table and the engine: claimed, run, and recorded."""
