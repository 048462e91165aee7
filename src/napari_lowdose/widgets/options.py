"""Where and in what pieces to compute: the part under "Advanced"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from lowdose.parameters import Parameter
from napari_lowdose.widgets.form import ParameterForm

if TYPE_CHECKING:
    from lowdose.inference import DenoiseOptions
    from napari_lowdose._settings import Settings

#: Of the engine and of a training alike.
DEVICE: Final = Parameter(
    name="device",
    kind="choice",
    default="auto",
    choices=("auto", "cpu", "cuda", "mps"),
    help="What computes: a GPU where there is one (auto), or the one you name.",
)

#: The options of the engine that the widget offers, as the same kind of declaration
#: that a denoiser makes: the form is the same.
OPTIONS: Final = (
    DEVICE,
    Parameter(
        name="precision",
        kind="choice",
        default="auto",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="Arithmetic of networks. Shorter numbers are faster on many devices.",
    ),
    Parameter(
        name="tile",
        kind="int",
        default=0,
        minimum=0,
        maximum=16384,
        unit="px",
        help="Longest side of a tile. 0: chosen from free memory. Smaller needs less.",
    ),
)


class OptionsForm(QWidget):
    """Device, precision, tile, and whether an earlier result is replaced.

    Parameters
    ----------
    settings : Settings
        The user's preferences, shown at first.
    offer_replace : bool, optional
        Whether to ask about earlier results.
    parent : QWidget, optional
        The Qt parent.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        offer_replace: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.form = ParameterForm()
        self.form.set_parameters(OPTIONS)
        self.form.field("tile").setSpecialValueText("auto")
        self.form.set_values(
            {
                "device": settings.device,
                "precision": settings.precision,
                "tile": settings.tile,
            }
        )
        self._replace = QCheckBox("Replace the earlier result")
        self._replace.setChecked(True)
        self._replace.setToolTip(
            "A new run of the same denoiser on the same layer replaces its result.\n"
            "Otherwise every run adds a layer."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        layout.addWidget(self._replace)
        self._replace.setVisible(offer_replace)

    @property
    def replace(self) -> bool:
        """Whether a run may replace an earlier result."""
        return bool(self._replace.isChecked())

    def options(self) -> DenoiseOptions:
        """Return the options of the engine that the form shows."""
        from lowdose.inference import DenoiseOptions

        values: dict[str, Any] = self.form.values()
        return DenoiseOptions(
            device=values["device"],
            precision=values["precision"],
            tile=values["tile"] or None,
        )
