"""A module per group of verbs; ``virtkit.vm`` offers them all. What costs milliseconds is imported inside the verb."""
