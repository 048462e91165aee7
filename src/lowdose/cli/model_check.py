"""``lowdose models check``: whether a model does harm where there is nothing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowdose.cli.terminal import DONE, FAILED, columns, say, write

if TYPE_CHECKING:
    import argparse

    from lowdose.trust.harm import Harm


def add_check(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare ``lowdose models check``."""
    check = actions.add_parser(
        "check", help="what a model makes of clean images, constants and pure noise"
    )
    check.add_argument("name", metavar="NAME", help="of a model, or its folder")
    check.add_argument(
        "--images", type=int, default=4, metavar="N", help="of noise at each rate (4)"
    )


def check(arguments: argparse.Namespace) -> int:
    """Check a model, and end with an error where it breaks the bounds of its card."""
    from lowdose.trust.harm import find_harm
    from lowdose.zoo.shelf import find_model

    card = find_model(arguments.name)
    say(f"Checking {card.name}; this takes up to a minute")
    found = find_harm(card, images=arguments.images)
    write(_told(found))
    bounds = card.details.get("harm", {})
    if not bounds:
        say("Its card states no bounds (table [harm]).")
        return DONE
    broken = found.beyond(bounds)
    for line in broken:
        say(line)
    if not broken:
        say("All within the bounds of its card.")
    return FAILED if broken else DONE


def _told(found: Harm) -> str:
    rows = [
        ("clean images are changed by", f"{100 * found.clean:.2f} % of their contrast"),
        ("images of one value by", f"{100 * found.constant:.3f} % of it"),
        *(
            (
                f"noise of {rate:g} e-/px",
                f"{100 * noise.left:.2f} % is left; strongest frequency "
                f"{noise.peak:.2f} of that of the noise",
            )
            for rate, noise in found.noise.items()
        ),
    ]
    return columns(rows)
