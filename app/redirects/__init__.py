"""The redirect: the whole life of a click, from the request to its row in the database."""
