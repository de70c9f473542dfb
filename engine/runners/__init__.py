"""How forwards of a UNet are run: eager, traced, captured, compiled."""
