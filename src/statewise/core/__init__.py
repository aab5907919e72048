"""Ground floor: configuration and errors, standard library only."""
