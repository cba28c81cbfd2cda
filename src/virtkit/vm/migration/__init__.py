"""A machine goes to another host: what stands in the way, and the journey itself.

Our process speaks to both libvirts (virsh calls that direct migration): the other host is reached with the caller's own
keys, and if this process dies, the machine runs on where it is.
"""
