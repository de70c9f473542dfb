"""Short tasks that somebody waits for: import, merge and search of LoRAs, and sheets of comparisons."""
