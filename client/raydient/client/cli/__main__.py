"""`python -m raydient.client.cli` is `raydient`."""

from raydient.client.entry import main

main()
