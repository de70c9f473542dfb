"""HTTP connections and bodies from strangers, within limits."""
