"""What a doomed process has its guardian import."""

from support import dying

dying.doom()
