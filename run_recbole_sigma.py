"""Train and test a model: ``python run_recbole_sigma.py --model=SIGMA --dataset=ml-100k``."""

import sys

from recbole_sigma.cli import main

if __name__ == "__main__":
    sys.exit(main())
