"""Packets that this program sends and reads by itself: bytes in, records out, no socket anywhere.

What comes in was sent by anybody: ``parse`` returns None for what is not whole, not ours to read, or not what it says.
"""
