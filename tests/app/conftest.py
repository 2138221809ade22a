"""The hooks that `app.hooks` installs are tried on the server and the clone of `tests/hooks`."""

from tests.hooks.conftest import shared, template

__all__ = ["shared", "template"]
