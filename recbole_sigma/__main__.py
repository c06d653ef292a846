"""``python -m recbole_sigma``."""

import sys

from recbole_sigma.cli import main

sys.exit(main())
