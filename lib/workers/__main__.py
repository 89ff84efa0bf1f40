"""The host's program, and the program of a worker where nothing can be forked."""

import sys

from lib.workers import host, worker

if __name__ == "__main__":
    if sys.argv[1:]:
        worker.begin_afresh(sys.argv[1])
    else:
        host.serve()
