"""`python -m asd_core`."""

import sys

from asd_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
