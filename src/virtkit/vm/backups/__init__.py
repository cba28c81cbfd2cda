"""libvirt's backup jobs, checkpoints and dirty bitmaps: https://libvirt.org/formatbackup.html."""
