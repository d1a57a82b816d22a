"""What a client of the REST API sends: JSON, of a size that is read at all."""

import io
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import exceptions
from rest_framework.parsers import JSONParser


class TooLarge(exceptions.APIException):
    status_code = 413
    word = "BODY_TOO_LARGE"

    def __init__(self) -> None:
        super().__init__(f"The body is larger than {settings.ILERT_MAX_BODY} bytes (ILERT_MAX_BODY).")


class Json(JSONParser):
    """JSON as it comes from strangers: too large a body is refused, and too deep a one is no fault of ours."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = stream.read(settings.ILERT_MAX_BODY + 1)
        if len(body) > settings.ILERT_MAX_BODY:
            raise TooLarge
        try:
            data: dict[str, Any] = super().parse(io.BytesIO(body), media_type, parser_context)
        except RecursionError as error:
            raise exceptions.ParseError("The JSON is nested too deep.") from error
        return data
