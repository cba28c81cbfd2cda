"""Repairs and amendments: rehearsed first, and recorded so that they can be taken back."""
