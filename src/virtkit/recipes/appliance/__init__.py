"""Machines of other hypervisors: OVF and OVA (DMTF DSP0243), VMware's VMX, VirtualBox's .vbox."""
