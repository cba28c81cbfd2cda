"""An NBD server: the guest's disk of any image, over a socket, to everything that speaks the protocol."""
