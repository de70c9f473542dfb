"""What people can say: one definition per command, for every front end."""
