"""Published models in other people's programs: one file each, to be copied there.

They need what those programs have, and nothing of this package: they import no other room.
"""
