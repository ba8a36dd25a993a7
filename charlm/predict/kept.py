"""A property that is worked out when it is first asked for, and kept.

`functools.cached_property` does that too, but in Python 3.11 under one lock for all objects of a
class: where what is kept asks for what another object keeps, threads wait for each other for ever.
Here nothing is locked: threads that ask at the same time may each work it out, to the same value.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class kept(Generic[Value]):
    """Decorates a method without arguments; the object needs a `__dict__`, where the value is."""

    def __init__(self, work_out: Callable[[Any], Value]) -> None:
        self._work_out, self.__doc__ = work_out, work_out.__doc__
        self._name = work_out.__name__

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name that it has in a class."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "kept[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object, owner: type) -> "Value | kept[Value]":
        """Work it out; from then on the object's own attribute is found first."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._work_out(instance)
        return value
