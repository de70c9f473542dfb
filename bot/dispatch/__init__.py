"""What people ask for, carried out: read, checked, written down, answered."""
