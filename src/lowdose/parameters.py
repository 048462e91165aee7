"""Declared parameters: one declaration makes the form, the options and the checks.

A denoiser lists its parameters as :class:`Parameter` objects. The widget draws its
form from them, the command line its ``--set`` help, and :func:`resolve` validates
the values wherever they come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lowdose.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["float", "int", "bool", "choice"]
Value = float | int | bool | str

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a denoiser.

    Parameters
    ----------
    name : str
        Name in Python and on the command line.
    kind : {"float", "int", "bool", "choice"}
        Type of the value.
    default : float, int, bool or str
        Value used where none is given.
    help : str
        One line: what it does and what a larger value means.
    unit : str, optional
        Unit of the value, such as ``"px"``; empty for a pure number.
    minimum, maximum : float, optional
        Smallest and largest allowed value, both included. Numbers only.
    choices : tuple of str, optional
        The allowed values. Kind ``"choice"`` only.
    advanced : bool, optional
        Whether a form may hide it behind "advanced".
    """

    name: str
    kind: Kind
    default: Value
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    advanced: bool = False

    def __post_init__(self) -> None:
        self.validate(self.default)

    def validate(self, value: Any) -> Value:
        """Return `value` in the declared type, or say why it is not allowed.

        Parameters
        ----------
        value : object
            A value of the declared type, or its text as typed by a user.

        Returns
        -------
        float, int, bool or str
            The value in the declared type.

        Raises
        ------
        ParameterError
            If it is of another type, not finite, out of range or no choice.
        """
        match self.kind:
            case "bool":
                return self._bool(value)
            case "choice":
                return self._choice(value)
            case _:
                return self._number(value)

    def describe_range(self) -> str:
        """Return the allowed values in words, such as ``"0.1 to 50 px"``."""
        unit = f" {self.unit}" if self.unit else ""
        match self.kind:
            case "bool":
                return "true or false"
            case "choice":
                return ", ".join(self.choices)
            case _ if self.minimum is not None and self.maximum is not None:
                return f"{self.minimum:g} to {self.maximum:g}{unit}"
            case _ if self.minimum is not None:
                return f"at least {self.minimum:g}{unit}"
            case _ if self.maximum is not None:
                return f"at most {self.maximum:g}{unit}"
            case _:
                return f"any number{unit}"

    def to_dict(self) -> dict[str, Any]:
        """Return the declaration as a dictionary of JSON types."""
        return {
            "name": self.name,
            "kind": self.kind,
            "default": self.default,
            "unit": self.unit,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "choices": list(self.choices),
            "help": self.help,
        }

    def _bool(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        text = str(value).strip().lower()
        if text in _TRUE | _FALSE:
            return text in _TRUE
        raise self._error(value, "is not true or false")

    def _choice(self, value: Any) -> str:
        text = str(value).strip()
        if text in self.choices:
            return text
        raise self._error(value, f"is not a choice. {did_you_mean(text, self.choices)}")

    def _number(self, value: Any) -> float | int:
        if isinstance(value, bool):
            raise self._error(value, "is not a number")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self._error(value, "is not a number") from None
        if not math.isfinite(number):
            raise self._error(value, "is not a finite number")
        if self.kind == "int" and not number.is_integer():
            raise self._error(value, "is not a whole number")
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            raise self._error(value, "is out of range")
        return int(number) if self.kind == "int" else number

    def _error(self, value: Any, problem: str) -> ParameterError:
        return ParameterError(
            f"{self.name}={value!r} {problem}. "
            f"Allowed for {self.name}: {self.describe_range()}."
        )


def resolve(
    parameters: Iterable[Parameter], values: Mapping[str, Any], *, owner: str
) -> dict[str, Value]:
    """Return a value for every parameter: the given one, validated, or the default.

    Parameters
    ----------
    parameters : iterable of Parameter
        The declarations.
    values : mapping
        Values by name, in the declared type or as text.
    owner : str
        Name of the denoiser, for messages.

    Returns
    -------
    dict
        One entry per declared parameter, in their order.

    Raises
    ------
    ParameterError
        If a name is not declared, or a value is not allowed.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    for name in values:
        if name not in declared:
            msg = f"{owner} has no parameter {name!r}. {did_you_mean(name, declared)}"
            raise ParameterError(msg)
    return {
        name: parameter.validate(values.get(name, parameter.default))
        for name, parameter in declared.items()
    }
