"""A simulated AWS: ordering rules, delays, limits and random faults that emulators do not have.

It is a layer over an emulator, which stores the resources. Rules see every call before the
emulator and every response after it (`aws.py`). Each rule is one file. The layer has two uses:
in process over moto (`account.py`), on a clock that a test advances; and as a proxy between
Slipway's functions and MiniStack (`proxy.py`), on a scaled real clock.
"""
