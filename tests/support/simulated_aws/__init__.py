"""An AWS that behaves like AWS: the order, the waiting, the limits and the weather that emulators
leave out.

It is a layer over an emulator, which keeps the resources. Rules look at every call before the
emulator does and at every answer after it (`aws.py`); each rule is one file. The layer serves
twice: in process over moto (`account.py`), on a clock that a test moves, and as a proxy between
Slipway's functions and MiniStack (`proxy.py`), on a scaled real clock.
"""
