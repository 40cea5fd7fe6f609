import pytest

from chalicelib.domain.spec.fargate import MEMORY_BY_CPU, memory_choices


def test_the_memory_sizes_of_every_cpu_size_ascend() -> None:
    for sizes in MEMORY_BY_CPU.values():
        assert list(sizes) == sorted(set(sizes))


@pytest.mark.parametrize(
    ("cpu", "words"),
    [
        (256, "512, 1024 or 2048"),
        (1024, "2048 to 8192 in steps of 1024"),
        (8192, "16384 to 61440 in steps of 4096"),
        (16384, "32768 to 122880 in steps of 8192"),
    ],
)
def test_the_memory_choices_are_readable_text(cpu: int, words: str) -> None:
    assert memory_choices(cpu) == words
