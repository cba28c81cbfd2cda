"""Snapshots as libvirt keeps them: earlier states of a machine, inside its images or below overlays.

*Internal*: each qcow2 image keeps the state in itself, and the memory of a running machine, too. *External*: the image
is left as it is, and the machine goes on in a new overlay on it; memory lies in a file of its own. The two do not mix:
tools have deleted an image that held internal snapshots while they merged an overlay (virt-manager #811, #862).
"""
