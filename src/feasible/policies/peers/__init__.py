"""Other libraries' agents for `Control`, one file a library."""
