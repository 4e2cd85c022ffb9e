"""The claims of the papers of this room, one file each."""
