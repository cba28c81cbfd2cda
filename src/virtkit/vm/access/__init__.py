"""Whether QEMU gets at a file: as which user it runs, which directory stops that user, which label or profile.

``walk`` asks modes and ACLs, ``denials`` the logs of AppArmor and SELinux, ``explain`` says it with the command that
mends it.
"""
