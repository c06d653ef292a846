"""Check some seeds and print what is wrong: ``python -m tests.fuzz FIRST [LAST]``."""

import sys
import time
import traceback

from tests.fuzz.checks import check
from tests.fuzz.made_up import described, make

first, last = int(sys.argv[1]), int(sys.argv[-1])
begin, wrong = time.time(), 0
for seed in range(first, last + 1):
    case = make(seed)
    try:
        check(case)
    except Exception as error:
        wrong += 1
        print(f"--- {described(case)}")
        if isinstance(error, AssertionError):
            print(f"{error}"[:600])
        else:
            traceback.print_exc(limit=-4, file=sys.stdout)
print(f"{wrong} of {last - first + 1} wrong, {(time.time() - begin) / (last - first + 1):.2f} s each")
