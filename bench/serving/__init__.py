"""How the engine serves people: against its peers, by load, part by part, and with fast steps."""
