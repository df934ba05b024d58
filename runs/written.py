"""What people write, as far as it can be kept: reasons, comments."""

from __future__ import annotations


def check_text(text: str, *, what: str, most: int, refusal: type[Exception]) -> None:
    """Raises `refusal` with a sentence for a text of more than `most` characters, and for one
    with a NUL, which PostgreSQL cannot keep. `what` names the text: "reason"."""
    if len(text) > most:
        raise refusal(f"The {what} is {len(text)} characters long; at most {most} are kept.")
    if "\0" in text:
        raise refusal(f"The {what} holds a NUL character, which cannot be kept.")
