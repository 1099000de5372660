"""`python -m asd_core.jobs RUN_DIR`: what the dashboard starts for a training."""

import sys

from asd_core.jobs.queue import main

if __name__ == "__main__":
    sys.exit(main())
