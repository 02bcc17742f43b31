"""The stack machine that follows a pickle's operations as far as they make plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from latpred.dataset.importers.pickled_numpy import Name, Pending, built, reduced

_LONGEST_BITS = 64
"""Of an integer; Python refuses to print those of many thousand."""
_LONGEST_KEY = 64
"""Entries of a tuple that is a key."""
_MARK = object()


class Operation(NamedTuple):
    """One operation of a pickle: its name in `pickletools`, and its argument."""

    name: str
    argument: Any


class RefusedError(Exception):
    """An operation that plain data does not need; its text says which."""


class Machine:
    """The stack that a pickle's operations work on.

    Args:
        budget: Bytes of arrays that may be read in all; more only come from reading the same bytes again and again.
    """

    def __init__(self, budget: int) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._budget = budget

    def step(self, operation: Operation) -> None:
        """Do one operation."""
        if operation.name in _PUSHES:
            if isinstance(operation.argument, int) and operation.argument.bit_length() > _LONGEST_BITS:
                raise RefusedError(f"an integer of {operation.argument.bit_length()} bits")
            self._stack.append(operation.argument)
        elif operation.name in _CONSTANTS:
            self._stack.append(_CONSTANTS[operation.name]())
        elif operation.name in _OPERATIONS:
            _OPERATIONS[operation.name](self, operation)
        elif operation.name not in _NOTHING:
            raise RefusedError(f"the operation {operation.name}")

    def result(self) -> Any:  # noqa: ANN401 - whatever plain data there is
        """Return the one value that is left."""
        if len(self._stack) != 1:
            raise ValueError(f"{len(self._stack)} values at its end instead of one")
        if isinstance(self._stack[0], Name | Pending):
            raise RefusedError("the name of something instead of it")
        return self._stack[0]

    def _pop(self) -> Any:  # noqa: ANN401 - whatever stands there
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value must stand")
        return value

    def _to_mark(self) -> list[Any]:
        """Take the values above the topmost mark, and the mark."""
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                values = self._stack[place + 1 :]
                del self._stack[place:]
                return values
        raise ValueError("no mark where one must stand")

    def _top(self, kind: type[Any]) -> Any:  # noqa: ANN401 - of the kind
        value = self._stack[-1]
        if type(value) is not kind:
            raise ValueError(f"a {type(value).__name__} where a {kind.__name__} must stand")
        return value

    def get(self, operation: Operation) -> None:
        """Push what was remembered."""
        self._stack.append(self._memo[int(operation.argument)])

    def put(self, operation: Operation) -> None:
        """Remember the topmost value."""
        place = len(self._memo) if operation.argument is None else int(operation.argument)
        self._memo[place] = self._stack[-1]

    def mark(self, _: Operation) -> None:
        """Push a mark."""
        self._stack.append(_MARK)

    def pop(self, _: Operation) -> None:
        """Drop the topmost value or mark."""
        self._stack.pop()

    def pop_mark(self, _: Operation) -> None:
        """Drop all above the topmost mark."""
        self._to_mark()

    def make_tuple(self, operation: Operation) -> None:
        """Make a tuple of the topmost values, as many as the operation's name says, or all above the mark."""
        count = operation.name.removeprefix("TUPLE")
        values = [self._pop() for _ in range(int(count))][::-1] if count else self._to_mark()
        self._stack.append(tuple(values))

    def make_list(self, _: Operation) -> None:
        """Make a list of all above the mark."""
        self._stack.append(self._to_mark())

    def make_dict(self, _: Operation) -> None:
        """Make a dict of all above the mark."""
        values = self._to_mark()
        self._stack.append({})
        self._set(values)

    def append(self, _: Operation) -> None:
        """Append the topmost value to the list below it."""
        value = self._pop()
        self._top(list).append(value)

    def appends(self, _: Operation) -> None:
        """Append all above the mark to the list below it."""
        values = self._to_mark()
        self._top(list).extend(values)

    def set_item(self, _: Operation) -> None:
        """Put the topmost key and value into the dict below them."""
        value = self._pop()
        self._set([self._pop(), value])

    def set_items(self, _: Operation) -> None:
        """Put all keys and values above the mark into the dict below it."""
        self._set(self._to_mark())

    def _set(self, values: list[Any]) -> None:
        target = self._top(dict)
        if len(values) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not _is_key(key):
                raise RefusedError(
                    f"a {type(key).__name__} as a key that is neither a text, a number nor a short tuple"
                )
            target[key] = value

    def name(self, operation: Operation) -> None:
        """Push the name of something; it is compared with the few that are known, never looked up."""
        if operation.name == "STACK_GLOBAL":
            attribute, module = self._pop(), self._pop()
        else:
            module, _, attribute = str(operation.argument).partition(" ")
        self._stack.append(Name.known(module, attribute) or self._refuse(module, attribute))

    def _refuse(self, module: object, attribute: object) -> Any:  # noqa: ANN401 - never returns
        raise RefusedError(f"the name {module}.{attribute}")

    def reduce(self, _: Operation) -> None:
        """Read one of NumPy's values from its parts."""
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise RefusedError(f"a call of a {type(function).__name__}")
        self._stack.append(reduced(function, arguments, self._spend))

    def build(self, _: Operation) -> None:
        """Complete the NumPy value below the topmost one."""
        state = self._pop()
        pending = self._stack[-1]
        if not isinstance(pending, Pending):
            raise RefusedError(f"a state for a {type(pending).__name__}")
        value = built(pending, state, self._spend)
        if value is not pending:  # the memo has it, too
            self._stack[-1] = value
            for place, remembered in self._memo.items():
                if remembered is pending:
                    self._memo[place] = value

    def _spend(self, count: int) -> None:
        self._budget -= count
        if self._budget < 0:
            raise RefusedError("the same bytes read again and again")


def _is_key(value: object) -> bool:
    """Return whether `value` can be a key: hashing nested tuples can take for ever, or crash."""
    if type(value) is tuple:
        return len(value) <= _LONGEST_KEY and all(type(item) in (int, str) for item in value)
    return type(value) in (int, str, float, bool)


_PUSHES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_NOTHING = frozenset(("PROTO", "FRAME"))
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_OPERATIONS: dict[str, Callable[[Machine, Operation], None]] = {
    "GET": Machine.get,
    "BINGET": Machine.get,
    "LONG_BINGET": Machine.get,
    "PUT": Machine.put,
    "BINPUT": Machine.put,
    "LONG_BINPUT": Machine.put,
    "MEMOIZE": Machine.put,
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "TUPLE": Machine.make_tuple,
    "TUPLE1": Machine.make_tuple,
    "TUPLE2": Machine.make_tuple,
    "TUPLE3": Machine.make_tuple,
    "LIST": Machine.make_list,
    "DICT": Machine.make_dict,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "GLOBAL": Machine.name,
    "STACK_GLOBAL": Machine.name,
    "REDUCE": Machine.reduce,
    "BUILD": Machine.build,
}
