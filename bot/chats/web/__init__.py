"""Behind the local chat's page: who may enter, what travels over the wire, how pictures are handed out."""
