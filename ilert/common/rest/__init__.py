"""What all resources of the REST API have in common: how they answer, page and refuse."""
