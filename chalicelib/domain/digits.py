"""Whole numbers as text."""


def is_number(text: str) -> bool:
    """Whether `text` is one to nine ASCII digits. (`int` also reads " 7", "+7" and "1_0".)"""
    return text.isascii() and text.isdigit() and len(text) <= 9
