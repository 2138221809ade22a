"""`python -m esaa_git` is the same as `git esaa`."""

from esaa_git.cli.main import main

main()
