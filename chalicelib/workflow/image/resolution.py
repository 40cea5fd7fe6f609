"""Takes from the image what the caller did not set: port, health check and smoke test."""

from __future__ import annotations

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, Retryable
from chalicelib.domain.parts import Image
from chalicelib.domain.spec import sources
from chalicelib.domain.spec.fargate import PLATFORMS
from chalicelib.domain.spec.image_settings import ImageSettings, LabelFault
from chalicelib.domain.spec.parsing import MOST_BYTES
from chalicelib.domain.spec.spec import DEFAULT_PORT, Spec
from chalicelib.platform import aws
from chalicelib.workflow.image import image_config
from chalicelib.workflow.preflight.subject import NotKnown

# If the config cannot be downloaded, the deploy continues with the defaults after this many tries.
MOST_TRIES = 4


def read(deployment: Deployment, image: Image) -> tuple[ImageSettings | None, str]:
    """The settings of the image, and a note that says what they change.

    None if nothing depends on them. If the registry cannot be read, they are empty, and the note
    says why. Raises `DeploymentFailed` (`IMAGE_INVALID`) for a label that cannot be used, and an
    error of botocore or `Retryable` if the next try may succeed.
    """
    settings, note = deployment.image_settings, ""
    if settings is None and sources.needs_image(deployment.names):
        settings, note = _read(deployment, image)
    spec = _completed(deployment, settings)
    if spec.size > MOST_BYTES:
        raise _refused(
            f"With the image's labels the spec has {spec.size} bytes, and {MOST_BYTES} are allowed",
            "Shorten the label slipway.smoke_test.body, or the spec.",
        )
    return settings, note


def _read(deployment: Deployment, image: Image) -> tuple[ImageSettings, str]:
    try:
        config = image_config.read(image, PLATFORMS[deployment.spec.architecture])
    except image_config.Interrupted as error:
        # Zero if no step runs: a caller only validates a spec.
        if 0 < deployment.operation.step("resolve_image").attempts < MOST_TRIES:
            raise Retryable(str(error)) from error
        return ImageSettings(), _unread(str(error))
    except (NotKnown, image_config.Missing) as error:
        return ImageSettings(), _unread(str(error))
    except Exception as error:
        if not aws.is_refusal(error):
            raise
        reason = aws.code_of(error) or "an error"
        return ImageSettings(), _unread(f"{aws.operation_of(error)} returned {reason}")
    settings = ImageSettings.of_config(config)
    return settings, _note(settings, deployment.names)


def _unread(reason: str) -> str:
    return (
        "values that the spec does not set have their defaults, because the image config cannot be "
        f"read: {reason}"
    )


def _note(settings: ImageSettings, names: list[str]) -> str:
    """What the spec takes from the image."""
    notes = []
    if "port" not in names:
        exposed = "several TCP ports" if settings.ports else "no TCP port"
        notes.append(
            f"port {settings.port} from EXPOSE"
            if settings.port
            else f"port {DEFAULT_PORT}, because the image exposes {exposed}"
        )
    used = sources.labels_used(names, settings)
    if used:
        notes.append(f"from labels: {', '.join(used)}")
    if settings.unknown:
        notes.append(f"ignored unknown labels: {', '.join(settings.unknown)}")
    return "; ".join(notes)


def _completed(deployment: Deployment, settings: ImageSettings | None) -> Spec:
    try:
        return sources.completed(deployment.spec, deployment.names, settings or ImageSettings())
    except LabelFault as fault:
        raise _refused(
            str(fault),
            "Correct the LABEL in the Dockerfile, and build and push the image again. Or set the "
            "field in the spec, which overrules the label.",
        ) from None


def _refused(message: str, hint: str) -> DeploymentFailed:
    return DeploymentFailed(FailureCode.IMAGE_INVALID, f"{message}.", hint=hint)
