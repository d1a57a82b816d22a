"""REST keys: a person's own, named, stored hashed only, and revocable."""
