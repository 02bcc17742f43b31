"""`python -m latpred` is the command line."""

import sys

from latpred.cli import main

sys.exit(main())
