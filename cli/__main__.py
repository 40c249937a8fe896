"""`python -m cli`: the command line where no script was installed for it, as in the image."""

from __future__ import annotations

from cli.main import main

main()
