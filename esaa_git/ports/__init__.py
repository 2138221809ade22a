"""What the engine needs of the world, as small protocols, and the values that pass through them.

Adapters implement them (`store`, `checkout`, `remote`, `agents`, `sandbox`); `app` wires the two
together. Ids of git objects are 40 hexadecimal digits, times are RFC 3339 as
`esaa_git.core.event` writes them, contents are bytes.

`agent` is public; all else is internal and may change.
"""
