"""The task sizes, CPU architectures and zones that Fargate offers for Linux.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
"""

# Architecture -> platform, as the OCI image specification spells it.
# https://github.com/opencontainers/image-spec/blob/main/image-index.md
PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}

# The IDs of the Availability Zones with Fargate, in the regions where some zones lack it.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html
ZONES: dict[str, tuple[str, ...]] = {
    "ap-northeast-1": ("apne1-az1", "apne1-az2", "apne1-az4"),
    "cn-north-1": ("cnn1-az1", "cnn1-az2"),
    "us-west-1": ("usw1-az1", "usw1-az3"),
}

GIB = 1024
# Ephemeral storage that each task has without a charge. 21 to 200 GiB can be requested.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-storage.html
LEAST_STORAGE_GIB = 20

MEMORY_BY_CPU: dict[int, tuple[int, ...]] = {
    256: (512, GIB, 2 * GIB),
    512: tuple(GIB * n for n in range(1, 5)),
    1024: tuple(GIB * n for n in range(2, 9)),
    2048: tuple(GIB * n for n in range(4, 17)),
    4096: tuple(GIB * n for n in range(8, 31)),
    8192: tuple(GIB * n for n in range(16, 61, 4)),
    16384: tuple(GIB * n for n in range(32, 121, 8)),
}


def memory_choices(cpu: int) -> str:
    """The memory sizes in MiB that Fargate offers with `cpu`, worded for an error message."""
    sizes = MEMORY_BY_CPU[cpu]
    if len(sizes) <= 4:
        *first, last = map(str, sizes)
        return f"{', '.join(first)} or {last}"
    return f"{sizes[0]} to {sizes[-1]} in steps of {sizes[1] - sizes[0]}"
