"""What a caller sends: the base of its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Strict(BaseModel):
    """No coercion and no unknown field: a caller's mistake is told, not guessed at."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        from chalicelib.domain.spec import spec_schema

        return spec_schema.described(cls.__name__, handler.resolve_ref_schema(handler(core)))
