"""Images mounted as raw files, through FUSE: whatever reads files reads the guest's disk."""
