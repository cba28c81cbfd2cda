"""NetworkManager: its profiles on disk, and the running daemon."""
