"""Chat platforms on this machine, which the real client libraries take for the real ones."""
