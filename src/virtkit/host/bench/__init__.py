"""What a setting is worth on this very host: two sides, measured in turns, and a verdict that knows its noise."""
