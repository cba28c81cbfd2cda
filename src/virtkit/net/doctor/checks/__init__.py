"""One file, one check: it offers ``CHECK``."""
