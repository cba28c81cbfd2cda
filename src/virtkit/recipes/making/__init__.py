"""New machines: from an image, an installer or nothing, from another machine, from an appliance."""
