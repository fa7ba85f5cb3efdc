"""`python -m raydient.client.cli` is `raydient`."""

from . import main

main()
