"""One file, one thing to measure: the word that is typed."""
