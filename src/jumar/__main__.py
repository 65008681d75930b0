"""``python -m jumar``: the same as the command ``jumar``."""

import sys

from jumar.cli import main

sys.exit(main())
