"""Values in, values out.

`event`, `events`, `state` and `contracts` are public; all else is internal and may change.
"""
