"""Settings of all tests."""

from hypothesis import settings

settings.register_profile("feasible", deadline=None)  # machines that run tests are busy
settings.load_profile("feasible")
