"""Settings of all tests."""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # two busy test processes are all there is, and a fork must not meet a pool of threads

from hypothesis import settings  # noqa: E402

settings.register_profile("feasible", deadline=None)  # machines that run tests are busy
settings.load_profile("feasible")
