"""A new image from one or several: what is asked for, how it is laid out, copied, proved and made whole."""
