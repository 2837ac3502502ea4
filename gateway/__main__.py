"""``python -m gateway`` is ``voxwire``."""

import sys

from gateway.cli import main

sys.exit(main())
