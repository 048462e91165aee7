"""``python -m lowdose`` is the command ``lowdose``."""

from lowdose.cli import main

raise SystemExit(main())
